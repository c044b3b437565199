"""One field of an answer: constrained decoding with its guards. It turns ids into ids; nothing here is text or sound.

Text and its reading are the likeliest that are found, greedily or with beams (sampled text swaps names and numbers that
greedy text gets right); speech is sampled (greedy codes loop). What loops is tried again with another seed, sampled.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from stsmt.characters import Characters
from stsmt.errors import UserError
from stsmt.health import CODE_LOOP, TEXT_LOOP, is_loop
from stsmt.lm import LM, Sampling, Token
from stsmt.phase import Phase
from stsmt.prompt import PromptFormat

MAX_RETRIES = 2
RETRY_TEXT_TEMPERATURE = 0.3
MIN_CODES = 5  # 0.1 s: an answer in speech is not empty
SPEECH_SAMPLING = {"temperature": 0.8, "top_k": 50}


@dataclass(frozen=True)
class Field:
    """A finished field: `ids` without the end marker, and how it came to its end."""

    phase: Phase
    ids: tuple[int, ...]
    end_reached: bool
    loop: bool
    retries: int
    log_probability: float  # of the whole field, the end marker included

    @property
    def cap_hit(self) -> bool:
        return not (self.end_reached or self.loop)


class Attempt:
    """One try at a field: iterate over its ids as they come; `end_reached` or `loop` say how it ended.

    With `characters`, the field is text and holds whole ones only.
    """

    def __init__(self, lm: LM, ids: Sequence[int], sampling: Sampling, characters: Characters | None = None) -> None:
        self._lm, self._prompt, self._sampling, self._characters = lm, ids, sampling, characters
        self.ids: list[int] = []
        self.end_reached = self.loop = False
        self.log_probability = 0.0

    def __iter__(self) -> Iterator[int]:
        for token in self._tokens():
            self.log_probability += token.log_probability
            if token.id == self._sampling.stop:
                self.end_reached = True
                return
            self.ids.append(token.id)
            yield token.id
            if is_loop(self.ids, self._sampling.loop_minimum):
                self.loop = True
                return

    def _tokens(self) -> Iterator[Token]:
        """What the model says; a token that leaves a character broken is asked for again among those that do not."""
        if self._characters is None:
            yield from self._lm.generate(self._prompt, self._sampling)
            return
        begun: bytes | None = b""
        while (left := self._sampling.max_new_tokens - len(self.ids)) > 0:
            whole = replace(self._sampling, max_new_tokens=left)
            for token in self._lm.generate([*self._prompt, *self.ids], whole):
                after = self._after(begun or b"", token.id)
                if after is None:
                    break
                begun = after
                yield token
            else:
                return
            fitting = self._characters.following(begun or b"")
            if not fitting:  # a vocabulary that cannot finish it
                begun = b""
                yield token
                continue
            one = replace(self._sampling, allowed=fitting, max_new_tokens=1, min_new_tokens=1)
            for token in self._lm.generate([*self._prompt, *self.ids], one):
                begun = self._after(begun or b"", token.id)
                yield token

    def _after(self, begun: bytes, id: int) -> bytes | None:
        """What of a character is open after `id`; None if it breaks one: the end must not come before it is whole."""
        if id == self._sampling.stop:
            return None if begun else b""
        assert self._characters is not None
        return self._characters.after(begun, id)

    def finished(self, phase: Phase, retries: int) -> Field:
        """What has come of it."""
        ids, ended = tuple(self.ids), self.end_reached
        return Field(phase, ids, ended, self.loop, retries, self.log_probability)


def attempts(
    lm: LM,
    prompt: PromptFormat,
    ids: Sequence[int],
    phase: Phase,
    *,
    cap: int,
    seed: int,
    script: tuple[int, ...] = (),
) -> Iterator[Attempt]:
    """Tries at `phase`, which follows `ids`: iterate over each to its end; the last one given is the one to keep.

    `cap` is the most ids of the field; `script` are the cues of speech in their order, where they are known.

    Raises:
        UserError: if the model's context has no room left.
    """
    ids = [*ids, *phase.opening]
    room = lm.context - len(ids)
    if room < 2 * MIN_CODES:
        raise UserError(
            f"This is too long for the model, which reads {lm.context} tokens at most; give less at a time."
        )
    sampling = _sampling(prompt, phase, min(cap, room), seed)
    if script:
        sampling = replace(sampling, script=script, scripted=prompt.cue_ids)
    characters = prompt.characters if phase.is_text else None
    for retry in range(1 + MAX_RETRIES):
        attempt = Attempt(lm, ids, _reseeded(sampling, retry), characters)
        yield attempt
        if not attempt.loop:
            return


def _sampling(prompt: PromptFormat, phase: Phase, cap: int, seed: int) -> Sampling:
    if not phase.is_speech:
        return Sampling(phase.allowed, phase.end, cap, seed=seed, beams=phase.beams, loop_minimum=TEXT_LOOP)
    options = {**SPEECH_SAMPLING, "loop_minimum": CODE_LOOP, **prompt.data.get("sampling", {})}  # or a checkpoint's own
    return Sampling(phase.allowed, phase.end, cap, min_new_tokens=MIN_CODES, seed=seed, **options)


def _reseeded(sampling: Sampling, retry: int) -> Sampling:
    if not retry:
        return sampling
    temperature = sampling.temperature or RETRY_TEXT_TEMPERATURE
    return replace(sampling, seed=sampling.seed + retry, temperature=temperature, beams=1)
