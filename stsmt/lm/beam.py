"""Beam search: of the continuations that are weighed side by side, the one that is most probable as a whole.

What is chosen token by token does not come back from a token that fits now and leads nowhere. After Graves 2012,
"Sequence Transduction with Recurrent Neural Networks" (arXiv:1211.3711). Probabilities are not divided by the length:
what is searched for here, another way of saying one sentence, is about as long as the sentence.

What loops is no way of saying it: each turn of a loop is more probable than the last, so a beam that has begun one
outlives those that were right.
"""

from collections.abc import Callable, Sequence
from itertools import islice
from typing import Generic, NamedTuple, TypeVar

from stsmt.health import is_loop
from stsmt.lm import Sampling, Token

S = TypeVar("S")


class Beam(NamedTuple, Generic[S]):
    """Tokens so far, their natural-log probability, and the engine's state after all but the last of them."""

    tokens: tuple[Token, ...]
    score: float
    state: S


Extend = Callable[[Sequence[Beam[S]]], Sequence[tuple[S, Sequence[Token]]]]


def search(start: S, extend: Extend[S], sampling: Sampling) -> Beam[S]:
    """The best of `sampling.beams` beams, of at least one token; the last one is `sampling.stop`, unless the limit
    comes before any has ended. Beams that loop are left, unless there is nothing else.

    `extend` reads the last token of each beam and gives the state after it and the likeliest next tokens, as many as
    there are beams, or more if it likes. Probabilities only fall, so it is over when no beam is left that could win.
    """
    stop, beams, best = sampling.stop, [Beam[S]((), 0.0, start)], None
    for _ in range(sampling.max_new_tokens):
        grown = [
            Beam((*beam.tokens, token), beam.score + token.log_probability, state)
            for beam, (state, tokens) in zip(beams, extend(beams), strict=True)
            for token in tokens
        ]
        grown.sort(key=lambda beam: -beam.score)
        ended = [beam for beam in grown if beam.tokens[-1].id == stop]
        best = max([*ended[:1], *([best] if best else [])], key=lambda beam: beam.score, default=None)
        going = [beam for beam in grown if beam.tokens[-1].id != stop]
        beams = list(islice((beam for beam in going if not _loops(beam, sampling)), sampling.beams))
        if best and (not beams or best.score >= beams[0].score):
            return best
        beams = beams or going[: sampling.beams]
    return best or beams[0]


def _loops(beam: Beam[S], sampling: Sampling) -> bool:
    return is_loop([token.id for token in beam.tokens], sampling.loop_minimum)
