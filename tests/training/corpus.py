"""A corpus of noise with real labels, for tests of the recipe."""

import random

import numpy as np

from training.speech import Spoken, semantic_features

PHRASES = (("駅はどこですか。", "Where is the station?"), ("水をください。", "Water, please."))


def make_spoken(count: int = 6, seed: int = 0) -> list[Spoken]:
    """Utterances of 1.3 to 1.9 s of shaped noise, alternating languages."""
    rng, generator = random.Random(seed), np.random.default_rng(seed)
    made = []
    for number in range(count):
        language = ("ja", "en")[number % 2]
        text = PHRASES[number // 2 % 2][number % 2]
        samples = (generator.standard_normal(rng.randrange(21_000, 30_000)) * 3000).astype(np.int16)
        made.append(
            Spoken(
                phrase=f"p{number // 2}",
                template="t",
                language=language,
                voice="mei" if language == "ja" else "slt",
                text=text,
                phones=["a", "i", "u"],
                reading="エキ" if language == "ja" else None,
                split="train",
                samples=samples,
                features=semantic_features(samples / 32768.0),
            )
        )
    return made


def make_rows(count: int = 8, seed: int = 0) -> list[dict]:
    """Rows as `read_aligned` gives them, with codes below 64."""
    rng = random.Random(seed)
    rows = []
    for number in range(count):
        ja, en = PHRASES[number % 2]
        for language, text, voice in (("ja", ja, "mei"), ("en", en, "slt")):
            codes = [rng.randrange(64) for _ in range(rng.randrange(10, 30))]
            rows.append(
                {"phrase": f"p{number}", "template": "t", "language": language, "voice": voice, "text": text}
                | {"split": "train", "phones": "a i u", "codes": codes, "augmented": codes[::-1]}
                | {"cues": [0, 2, 5, 8]}
            )
    return rows
