"""Sentences in which a word stands where it makes no sense: "My older sister's Tuesday is delicious."

What was heard of a rare word is easily taken for the frequent one of its template. In these sentences nothing helps
but listening: every template, with values of slot lists that are not its own. They are trained on beside the
phrasebook, as its word swaps (Fadaee et al. 2017, "Data augmentation for low-resource NMT"), and never tested on or
shipped. Both languages say the same nonsense, so that it can be translated word by word.
"""

import random
from collections.abc import Container, Iterator, Mapping, Sequence

from training.phrasebook import checks
from training.phrasebook.grammar import (
    PLACEHOLDER,
    Key,
    Phrase,
    Template,
    Value,
    grammar,
    make_phrase,
    open_phrase,
    openers,
    phrases,
)

SWAPPED = "swapped"  # their split
OPENED_SHARE = 0.4  # of the sentences whose template may have an opener
TRIES = 4  # for every sentence wanted of a template


def needed_forms(template: Template) -> dict[Key, set[str]]:
    """The forms that a value of each placeholder must have."""
    forms: dict[Key, set[str]] = {}
    for match in PLACEHOLDER.finditer(template.ja + template.en):
        forms.setdefault((match["slot"], match["tag"] or ""), {"ja", "en"}).add(match["form"] or "en")
    return forms


def swap(
    template: Template, slots: Mapping[str, Sequence[Value]], values: Sequence[Value], rng: random.Random
) -> dict[Key, Value]:
    """Values for the placeholders; one of them or more from anywhere."""
    forms = needed_forms(template)
    foreign = set(rng.sample(list(forms), rng.randint(1, len(forms))))
    chosen = {}
    for key, wanted in forms.items():
        fitting = [value for value in values if wanted <= value.keys()] if key in foreign else slots[key[0]]
        chosen[key] = rng.choice(fitting)
    return chosen


def swap_template(template: Template, count: int, real: Container[str], rng: random.Random) -> Iterator[Phrase]:
    """At most `count` sentences of a template. What is in `real` is not said after an opener either: it may be held
    out."""
    slots, _ = grammar()
    values = list({(v["ja"], v["en"]): v for found in slots.values() for v in found}.values())
    listed = openers(template, slots["name"])
    for _ in range(count):
        chosen = swap(template, slots, values, rng)
        phrase = plain = make_phrase(template, chosen)
        if listed and rng.random() < OPENED_SHARE:
            phrase = open_phrase(plain, template, chosen, rng.choice(rng.choice(listed)))
        if any(text in real for text in (plain.ja, plain.en, phrase.ja, phrase.en)):
            continue
        yield Phrase(f"swap-{phrase.id}", phrase.template, phrase.domain, phrase.ja, phrase.en, SWAPPED)


def swapped(per_template: int, seed: int = 0) -> list[Phrase]:
    """At most `per_template` sentences of every template that is not held out; no sentence of the phrasebook."""
    real = {text for phrase in phrases() for text in (phrase.ja, phrase.en)}
    found: dict[str, Phrase] = {}
    for template in grammar()[1]:
        if template.held_out or not template.keys("ja"):
            continue
        made = swap_template(template, TRIES * per_template, real, random.Random(f"{seed}/{template.id}"))
        different = {p.id: p for p in made}.values()
        short = [p for p in different if len(checks.words(p.en)) <= checks.MAX_ENGLISH_WORDS]
        found |= {p.id: p for p in short[:per_template]}
    return list(found.values())
