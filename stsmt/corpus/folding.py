"""The form of a text in which it is searched: the same for the corpus and for what somebody types."""

import re
import unicodedata
from collections.abc import Sequence

import numpy as np

# What is not seen but would keep a word from being found (zero width, bidirectional marks, soft hyphen), and halves of
# characters, which no database takes.
_INVISIBLE = re.compile(r"[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufeff\ud800-\udfff]+")
_FIRST_KATAKANA, _LAST_KATAKANA, _TO_HIRAGANA = 0x30A1, 0x30F6, 0x60


def search_forms(texts: Sequence[str], fold_kana: bool) -> list[str]:
    """Each text in NFKC, case-folded, on one line, without invisible characters; katakana as hiragana if asked.

    Voicing marks stay (が is not か), unlike with a database's way of removing accents. All texts go through each step
    at once, which is several times as fast as one by one.
    """
    if not texts:
        return []
    joined = "\n".join(" ".join(text.split()) if "\n" in text else text for text in texts)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", _INVISIBLE.sub("", joined)).casefold())
    return (_hiragana(folded) if fold_kana else folded).split("\n")


def _hiragana(text: str) -> str:
    points = np.frombuffer(text.encode("utf-32-le"), np.uint32).copy()
    points[(points >= _FIRST_KATAKANA) & (points <= _LAST_KATAKANA)] -= _TO_HIRAGANA
    return points.tobytes().decode("utf-32-le")


def search_terms(text: str, fold_kana: bool) -> list[str]:
    """What was typed as the words that must all be found, each anywhere."""
    return search_forms([" ".join(text.split())], fold_kana)[0].split()
