"""Is this generation sound? One set of measures for the live app, corpus signals and evaluation.

Codec language models fail by looping, by never ending and by falling silent; each shows in the ids or the samples.
Pure Python: it knows nothing of models.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from itertools import groupby

MAX_PERIOD = 32  # ids; a longer pattern that repeats is speech that says something twice
MIN_REPEATS = 4
CODE_LOOP = 50  # codes: 1 s of one code, which a real pause hardly reaches
TEXT_LOOP = 16  # text ids
NGRAM = 4
CHARACTERS_PER_SECOND = {"ja": 6.0, "en": 14.0}  # unhurried reading
PAUSE_SECONDS = 0.6  # before and after a sentence
REPEAT_LIMIT = 0.6  # share of repeated n-grams that is called a loop after the fact
SILENCE_LIMIT = 0.8  # share of silence that is called silence


@dataclass(frozen=True)
class Repetition:
    """`longest_run`: equal neighbours in a row; `repeat_share`: share of 4-grams that came before (0..1)."""

    longest_run: int = 0
    repeat_share: float = 0.0


@dataclass(frozen=True)
class Health:
    """How a generation went.

    `end_reached`: every field ended by itself; `cap_hit`: one was cut at its limit. Runs are in codes, or in
    characters where there is no speech; `repeat_share` is the worst field's. `silence_share` is of the sound's time,
    None without sound; `seconds` and `expected_seconds` are of the sound (0 without); `retries` were made on loops.
    """

    end_reached: bool
    cap_hit: bool
    longest_run: int
    repeat_share: float
    silence_share: float | None
    seconds: float
    expected_seconds: float
    retries: int
    loop: bool = False


def is_loop(ids: Sequence[Hashable], minimum: int = CODE_LOOP) -> bool:
    """Do `ids` end in a pattern of up to `MAX_PERIOD` that repeats at least four times over at least `minimum` ids?

    Nothing is a loop where `minimum` is 0.
    """
    for period in range(1, MAX_PERIOD + 1 if minimum else 0):
        length = max(minimum, MIN_REPEATS * period)
        if length > len(ids):
            continue
        # One comparison dismisses nearly every period.
        if ids[-1] == ids[-1 - period] and ids[-length:-period] == ids[len(ids) - length + period :]:
            return True
    return False


def _measure(items: Sequence[Hashable]) -> Repetition:
    run = max((len(list(group)) for _, group in groupby(items)), default=0)
    grams = [tuple(items[i : i + NGRAM]) for i in range(len(items) - NGRAM + 1)]
    return Repetition(run, 1 - len(set(grams)) / len(grams) if grams else 0.0)


def measure_codes(codes: Sequence[int]) -> Repetition:
    """Repetition in codec codes."""
    return _measure(codes)


def measure_text(text: str) -> Repetition:
    """Repetition in characters, since Japanese has no spaces."""
    return _measure(text)


def expected_seconds(text: str, language: str) -> float:
    """How long `text` takes to say, roughly."""
    return len(text) / CHARACTERS_PER_SECOND[language] + PAUSE_SECONDS
