"""Sentences with swapped words teach listening: none is real, both languages say the same, none is shipped."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from training.pack import PHONES_FILE
from training.phrasebook import checks
from training.phrasebook.grammar import Phrase, fill, grammar, load_openers, phrases
from training.phrasebook.swaps import SWAPPED, swapped
from training.speech import list_shards, read_list

PER_TEMPLATE = 20


@pytest.fixture(scope="module")
def nonsense() -> list[Phrase]:
    return swapped(PER_TEMPLATE)


def test_no_sentence_with_swapped_words_is_in_the_phrasebook(nonsense: list[Phrase]) -> None:
    real = phrases()
    assert {p.ja for p in nonsense}.isdisjoint(p.ja for p in real)
    assert {p.en for p in nonsense}.isdisjoint(p.en for p in real)
    assert {p.split for p in nonsense} == {SWAPPED} and SWAPPED not in {p.split for p in real}


def test_what_is_held_out_is_not_said_after_another_opener_either(nonsense: list[Phrase]) -> None:
    names = list(grammar()[0]["name"])
    opened = [opener for kind in load_openers().values() for opener in kind]
    before = {
        fill(opener[side], {("name", ""): name}, side) for opener in opened for name in names for side in ("ja", "en")
    }
    lengths = {len(opener) for opener in before}
    texts = {text for p in nonsense for text in (p.ja, p.en)}
    rest = {text[length:] for text in texts for length in lengths if text[:length] in before}
    assert len(rest) > 1000
    assert {text[0].upper() + text[1:] for text in rest}.isdisjoint(t for p in phrases() for t in (p.ja, p.en))


def test_held_out_templates_are_not_given_away_by_nonsense(nonsense: list[Phrase]) -> None:
    held_out = {template.id for template in grammar()[1] if template.held_out}
    assert held_out and held_out.isdisjoint(p.template for p in nonsense)


def test_every_template_with_a_slot_gets_its_share_of_short_sentences(nonsense: list[Phrase]) -> None:
    counts = Counter(p.template for p in nonsense)
    slotted = [t for t in grammar()[1] if not t.held_out and "{" in t.ja]
    assert set(counts) <= {t.id for t in slotted} and max(counts.values()) == PER_TEMPLATE
    assert len(counts) > 0.98 * len(slotted), "all but those whose words can only be their own"
    assert len(nonsense) > 0.98 * PER_TEMPLATE * len(slotted)
    assert max(len(checks.words(p.en)) for p in nonsense) <= checks.MAX_ENGLISH_WORDS


def test_both_languages_say_the_same_nonsense(nonsense: list[Phrase]) -> None:
    slots, templates = grammar()
    values = [value for found in slots.values() for value in found]
    job = next(p for p in nonsense if p.template == "people_job")
    said = [v for v in values if v["ja"] in job.ja and any(text.lower() in job.en.lower() for text in v.values())]
    assert said, f"{job.ja} | {job.en}"
    assert [p.id for p in swapped(PER_TEMPLATE)] == [p.id for p in nonsense], "seeded"
    assert [p.id for p in swapped(PER_TEMPLATE, seed=1)] != [p.id for p in nonsense]


def test_nonsense_is_spoken_and_pronounced_beside_the_phrasebook(tmp_path: Path) -> None:
    for arguments in (
        ["training.synthesise", "--phrases", "1", "--swapped", "2", "--least", "1", "--processes", "1"],
        ["training.pronounce", "--phrases", "2", "--swapped", "1"],
    ):
        subprocess.run([sys.executable, "-m", *arguments, "--work", str(tmp_path)], check=True, capture_output=True)
    rows = [row for shard in list_shards(tmp_path / "speech") for row in read_list(shard)]
    assert Counter(row["split"] == SWAPPED for row in rows) == {True: 4, False: 2}
    silent = pq.read_table(tmp_path / PHONES_FILE).to_pylist()
    assert {row["split"] for row in silent} == {"train", SWAPPED} and all(row["phones"] for row in silent)
