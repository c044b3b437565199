"""Beam search: of the continuations that are weighed side by side, the one that is most probable as a whole.

What is chosen token by token does not come back from a token that fits now and leads nowhere. After Graves 2012,
"Sequence Transduction with Recurrent Neural Networks" (arXiv:1211.3711). Probabilities are not divided by the length:
what is searched for here, another way of saying one sentence, is about as long as the sentence.
"""

from collections.abc import Callable, Sequence
from typing import Generic, NamedTuple, TypeVar

from stsmt.lm import Token

S = TypeVar("S")


class Beam(NamedTuple, Generic[S]):
    """Tokens so far, their natural-log probability, and the engine's state after all but the last of them."""

    tokens: tuple[Token, ...]
    score: float
    state: S


Extend = Callable[[Sequence[Beam[S]]], Sequence[tuple[S, Sequence[Token]]]]


def search(start: S, extend: Extend[S], *, width: int, limit: int, stop: int) -> Beam[S]:
    """The best beam of at most `limit` tokens, at least one; its last token is `stop`, unless the limit comes
    before any has ended.

    `extend` reads the last token of each beam and gives the state after it and the likeliest next tokens, `width` of
    them and as many more as it likes. Probabilities only fall, so it is over when no beam is left that could win.
    """
    beams, best = [Beam[S]((), 0.0, start)], None
    for _ in range(limit):
        grown = [
            Beam((*beam.tokens, token), beam.score + token.log_probability, state)
            for beam, (state, tokens) in zip(beams, extend(beams), strict=True)
            for token in tokens
        ]
        grown.sort(key=lambda beam: -beam.score)
        ended = [beam for beam in grown if beam.tokens[-1].id == stop]
        best = max([*ended[:1], *([best] if best else [])], key=lambda beam: beam.score, default=None)
        beams = [beam for beam in grown if beam.tokens[-1].id != stop][:width]
        if best and (not beams or best.score >= beams[0].score):
            return best
    return best or beams[0]
