"""Pairs made up for tests."""

import random

from stsmt.corpus.pairs import Pair, Utterance, pair_id, split_of

VERSIONS = {"target_error_rate": "1", "duration_ratio": "1"}
PLACES = (("駅", "the station"), ("病院", "the hospital"), ("大学", "the university"), ("図書館", "the library"))
VOICES = (("mei", "slt"), ("mei-low", "rms"))


def make_pair(
    japanese: str = "駅はどこですか。",
    english: str = "Where is the station?",
    *,
    voices: tuple[str, str] = VOICES[0],
    seconds: tuple[float, float] = (1.0, 1.5),
    error: float | None = 0.0,
    codes: int = 20,
    seed: int = 0,
) -> Pair:
    """One pair from Japanese with random codes."""
    rng = random.Random(seed)
    sides = [
        Utterance(text, language, voice, tuple(rng.randrange(64) for _ in range(codes)), length, "test", seed)  # type: ignore[arg-type]
        for text, language, voice, length in zip((japanese, english), ("ja", "en"), voices, seconds, strict=True)
    ]
    provenance = {"origin": "tests", "licence": "Apache-2.0", "template": english.split()[0].lower()}
    signals = {"target_error_rate": error, "duration_ratio": seconds[1] / seconds[0]}
    return Pair(pair_id(*sides), *sides, split_of(japanese), provenance, signals)


def make_pairs(n: int) -> list[Pair]:
    """Pairs with ties and missing values: one in five has no error rate."""
    pairs = []
    for i in range(n):
        (ja, en), voices = PLACES[i % 4], VOICES[i % 2]
        error = None if i % 5 == 0 else float(i % 7) * 10
        seconds = (1.0 + i % 3, 1.5 + i % 4)
        pairs.append(
            make_pair(f"{ja}は{i}番です。", f"Number {i} is {en}.", voices=voices, seconds=seconds, error=error, seed=i)
        )
    return pairs
