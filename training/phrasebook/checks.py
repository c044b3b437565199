"""What the phrasebook must satisfy as a whole, beyond each template being well formed."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from training.phrasebook.grammar import Phrase

JAPANESE = re.compile(r"[ぁ-ゖァ-ヺー一-鿿々、]+。")  # kana, kanji, no digits or Latin letters
ENGLISH = re.compile(r"[A-Z][A-Za-z' ,.-]*[A-Za-z][.?]")
WRONG_ARTICLE = re.compile(r"\b(a (?!uni)[aeiou]\w*|an (?![aeiou])\w+)", re.IGNORECASE)
MAX_ENGLISH_WORDS = 14


def words(english: str) -> list[str]:
    """The lower-case words of an English sentence."""
    return re.findall(r"[a-z'-]+", english.lower())


def not_one_to_one(found: Iterable[Phrase]) -> list[str]:
    """Sentences of either language with two different partners, or made by two templates."""
    partners: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for phrase in found:
        partners[phrase.ja].add((phrase.en, phrase.template))
        partners[phrase.en].add((phrase.ja, phrase.template))
    return [f"{text} <-> {sorted(pairs)}" for text, pairs in partners.items() if len(pairs) > 1]


def badly_written(found: Iterable[Phrase]) -> list[str]:
    """Sentences with foreign characters, a wrong article, doubled words or too many words."""
    problems = []
    for phrase in found:
        english = words(phrase.en)
        reasons = {
            "Japanese characters": not JAPANESE.fullmatch(phrase.ja),
            "English characters": not ENGLISH.fullmatch(phrase.en) or "  " in phrase.en,
            "article": WRONG_ARTICLE.search(phrase.en),
            "doubled word": any(a == b for a, b in pairwise(english)),
            "length": len(english) > MAX_ENGLISH_WORDS,
        }
        problems += [f"{why}: {phrase.ja} {phrase.en}" for why, bad in reasons.items() if bad]
    return problems


def unseen_words(found: Iterable[Phrase]) -> list[str]:
    """Held-out templates whose English words or Japanese characters training never shows.

    Such a template would test vocabulary, not the recombination it is there to test.
    """
    seen: set[str] = set()
    needed: dict[str, set[str]] = defaultdict(set)
    for phrase in found:
        units = {*words(phrase.en), *phrase.ja}
        if phrase.split == "unseen_template":
            needed[phrase.template] |= units
        elif phrase.split == "train":
            seen |= units
    return [f"{t}: {' '.join(sorted(u - seen))}" for t, u in needed.items() if u - seen]


def problems(found: list[Phrase]) -> list[str]:
    """Every problem of the complete phrasebook, as readable lines."""
    return [
        *(f"not one to one: {p}" for p in not_one_to_one(found)),
        *(f"badly written: {p}" for p in badly_written(found)),
        *(f"unseen words in held-out template {p}" for p in unseen_words(found)),
    ]


def summary(found: Sequence[Phrase]) -> str:
    """Counts of templates, domains, pairs, splits and vocabulary."""
    held_out = {p.template for p in found if p.split == "unseen_template"}
    lines = [f"templates {len({p.template for p in found})} (held out {len(held_out)})"]
    for title, counts in (
        ("domain", Counter(p.domain for p in found)),
        ("split", Counter(p.split for p in found)),
    ):
        lines += [f"{title} {name}: {n} pairs" for name, n in sorted(counts.items())]
    vocabulary = {w for p in found for w in words(p.en)}
    return "\n".join([*lines, f"pairs {len(found)}", f"English words {len(vocabulary)}"])
