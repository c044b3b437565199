"""Expand the Japanese/English phrase templates into sentence pairs.

The data lives beside this file: ``slots.yaml`` (word lists with agreement forms),
``templates/*.yaml`` (one file per domain) and ``openers.yaml`` (what is said before a
sentence: "Excuse me, …").  A template is a pair of sentences sharing
placeholders::

    {id: lost_item, ja: "{item}をなくしました。", en: "I lost my {item}."}

``{item}`` takes the ``ja`` or ``en`` text of a value of the list ``item``;
``{item.plural}`` takes its form ``plural``; ``{city:1}`` and ``{city:2}`` are two
*different* values of one list.  All agreement is data, so this file knows no vocabulary.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import random
import re
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import yaml

from training.phrasebook import checks

DATA = Path(__file__).parent
PLACEHOLDER = re.compile(r"\{(?P<slot>[a-z_]+)(?:\.(?P<form>[a-z_]+))?(?::(?P<tag>\d))?\}")
DEV_PERCENT, TEST_PERCENT = 3, 5
OPENED = 120  # as many sentences of a template get an opener, where it has openers enough
REQUESTS = ("ください。", "お願いします。")  # how their templates end; questions end in か
NEVER_LOWER = ("I", "Mr.", "Professor")  # first words that are not written small after an opener

Value = Mapping[str, str]  # one slot value: form name -> text
Key = tuple[str, str]  # one placeholder: (slot list, tag)


class GrammarError(ValueError):
    """The data files contradict themselves; the message names the file and the entry."""


@dataclass(frozen=True)
class Template:
    """A sentence pair with placeholders."""

    id: str
    domain: str
    ja: str
    en: str
    held_out: bool = False

    def keys(self, side: str) -> list[Key]:
        """The distinct placeholders of one side ("ja" or "en"), in order."""
        return list(dict.fromkeys((s, tag) for s, _, tag in PLACEHOLDER.findall(getattr(self, side))))


@dataclass(frozen=True)
class Phrase:
    """One sentence pair; ``split`` is train, dev, test or unseen_template."""

    id: str
    template: str
    domain: str
    ja: str
    en: str
    split: str


def indefinite(noun: str) -> str:
    """The noun with its regular article; exceptions ("a university") are data."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def plural(noun: str) -> str:
    """The regular English plural; exceptions ("tomatoes") are data."""
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|ch|sh)$", noun) else "s")


def load_slots(text: str) -> dict[str, list[Value]]:
    """Parse slot lists, merging included lists and deriving regular forms."""
    lists: dict[str, list[Value]] = {}
    for name, entry in yaml.safe_load(text).items():
        values = []
        for included in entry.get("include", []):
            if included not in lists:
                raise GrammarError(f"slots.yaml: {name} includes {included}, not defined above it")
            values += lists[included]
        for value in entry.get("values", []):
            if not all(isinstance(t, str) for t in value.values()) or not {"ja", "en"} <= value.keys():
                raise GrammarError(f"slots.yaml: {name}: {value} needs texts ja and en")
            forms = {k: p.format_map(value) for k, p in entry.get("forms", {}).items() if k not in value}
            regular = {"a": indefinite(value["en"]), "plural": plural(value["en"])}
            values.append({**regular, **forms, **value})
        for side in ("ja", "en"):
            repeated = [t for t, n in Counter(v[side] for v in values).items() if n > 1]
            if repeated:
                raise GrammarError(f"slots.yaml: {name}: {side} repeats {', '.join(repeated)}")
        lists[name] = values
    return lists


def load_templates(text: str, source: str, slots: Mapping[str, Sequence[Value]]) -> list[Template]:
    """Parse and validate one template file; ``source`` names it in errors."""
    document, templates = yaml.safe_load(text), []
    for entry in document["templates"]:
        where = f"{source}: {entry.get('id', entry)}"
        if not {"id", "ja", "en"} <= entry.keys() <= {"id", "ja", "en", "held_out"}:
            raise GrammarError(f"{where}: needs id, ja, en (and held_out); has {sorted(entry)}")
        template = Template(domain=document["domain"], **entry)
        if set(template.keys("ja")) != set(template.keys("en")):
            raise GrammarError(f"{where}: a slot is used on one side only")
        for match in PLACEHOLDER.finditer(template.ja + template.en):
            if match["slot"] not in slots:
                raise GrammarError(f"{where}: unknown slot {match['slot']}")
            for value in slots[match["slot"]]:
                if (match["form"] or "en") not in value:
                    raise GrammarError(f"{where}: {value['en']} has no form {match['form']}")
        if re.search(r"[{}]", PLACEHOLDER.sub("", template.ja + template.en)):
            raise GrammarError(f"{where}: malformed placeholder")
        templates.append(template)
    return templates


@cache
def grammar() -> tuple[dict[str, list[Value]], tuple[Template, ...]]:
    """The slot lists and all templates, validated."""
    slots = load_slots((DATA / "slots.yaml").read_text(encoding="utf-8"))
    templates: list[Template] = []
    for path in sorted((DATA / "templates").glob("*.yaml")):
        templates += load_templates(path.read_text(encoding="utf-8"), path.name, slots)
    repeated = [i for i, n in Counter(t.id for t in templates).items() if n > 1]
    if repeated:
        raise GrammarError(f"templates: duplicate id {', '.join(repeated)}")
    return slots, tuple(templates)


def choices(template: Template, slots: Mapping[str, Sequence[Value]]) -> Iterator[dict[Key, Value]]:
    """Every assignment of values to placeholders; one list never gives one value twice."""
    keys = template.keys("ja")
    for values in itertools.product(*(slots[slot] for slot, _ in keys)):
        chosen = dict(zip(keys, values, strict=True))
        if len({(slot, value["ja"]) for (slot, _), value in chosen.items()}) == len(keys):
            yield chosen


def fill(sentence: str, chosen: Mapping[Key, Value], side: str, opener: str = "") -> str:
    """The sentence with its placeholders replaced, beginning with a capital."""
    text = opener + PLACEHOLDER.sub(lambda m: chosen[m["slot"], m["tag"] or ""][m["form"] or side], sentence)
    return text[0].upper() + text[1:]


def digest(ja: str, en: str) -> str:
    """Of a pair's texts: it names the pair and decides its split, so both survive data growth."""
    return hashlib.sha256(f"{ja}\n{en}".encode()).hexdigest()


def make_phrase(template: Template, chosen: Mapping[Key, Value]) -> Phrase:
    """Fill both sides."""
    ja, en = fill(template.ja, chosen, "ja"), fill(template.en, chosen, "en")
    found = digest(ja, en)
    bucket = int(found, 16) % 100  # percent
    split = "dev" if bucket < DEV_PERCENT else "test" if bucket < DEV_PERCENT + TEST_PERCENT else "train"
    if template.held_out:
        split = "unseen_template"
    elif not chosen:  # fixed phrases are few and needed: train them all
        split = "train"
    return Phrase(f"{template.id}-{found[:8]}", template.id, template.domain, ja, en, split)


def open_phrase(phrase: Phrase, template: Template, chosen: Mapping[Key, Value], opener: Value) -> Phrase:
    """`phrase` after an opener. It stays in its split: what is unseen is not heard after another opener either."""
    small = template.en if template.en.split()[0] in NEVER_LOWER else template.en[0].lower() + template.en[1:]
    ja, en = fill(template.ja, chosen, "ja", opener["ja"]), fill(small, chosen, "en", opener["en"])
    return replace(phrase, id=f"{template.id}-{digest(ja, en)[:8]}", ja=ja, en=en)


@cache
def load_openers() -> dict[str, list[Value]]:
    """What may be said before a sentence, by its kind."""
    return yaml.safe_load((DATA / "openers.yaml").read_text(encoding="utf-8"))


def openers(template: Template, names: Sequence[Value]) -> list[list[Value]]:
    """What may be said before a template's sentences; one of each inner list. "Mr. Sato, " is there for every name."""
    if template.held_out or "{" not in template.ja or "、" in template.ja:
        return []  # fixed phrases, and those that open with something themselves
    kind = "question" if template.ja.endswith("か。") else "request" if template.ja.endswith(REQUESTS) else "statement"
    return [
        [{side: fill(opener[side], {("name", ""): name}, side) for side in ("ja", "en")} for name in names]
        if "{name}" in opener["ja"]
        else [opener]
        for opener in load_openers()[kind]
        if opener["ja"] + template.ja not in {other.ja for other in grammar()[1]}
    ]


def expand(template: Template, slots: Mapping[str, Sequence[Value]]) -> Iterator[Phrase]:
    """All sentences of a template, then each with some openers: the fewer sentences there are, the more of them."""
    filled = [(make_phrase(template, chosen), chosen) for chosen in choices(template, slots)]
    yield from (phrase for phrase, _ in filled)
    listed = openers(template, slots["name"])
    for phrase, chosen in filled if listed else ():
        rng = random.Random(phrase.id)
        for same in rng.sample(listed, min(len(listed), -(-OPENED // len(filled)))):
            yield open_phrase(phrase, template, chosen, rng.choice(same))


def phrases(seed: int = 0, per_template: int | None = None) -> list[Phrase]:
    """All pairs, or a seeded sample of at most ``per_template`` from each template."""
    slots, templates = grammar()
    found: list[Phrase] = []
    for template in templates:
        made = [
            phrase for phrase in expand(template, slots) if len(checks.words(phrase.en)) <= checks.MAX_ENGLISH_WORDS
        ]
        if per_template is not None and len(made) > per_template:
            made = random.Random(f"{seed}/{template.id}").sample(made, per_template)
        found += made
    return found


def main() -> None:
    """Print statistics, samples or problems of the phrasebook."""
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--stats", action="store_true")
    parser.add_argument("--sample", type=int, default=0, metavar="N")
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    found = phrases()
    if options.stats:
        print(checks.summary(found))
    for phrase in random.Random(options.seed).sample(found, options.sample):
        print(f"{phrase.ja}\t{phrase.en}\t{phrase.id}\t{phrase.split}")
    if options.check and (faults := checks.problems(found)):
        sys.exit("\n".join(faults))


if __name__ == "__main__":
    main()
