"""The phrasebook is large, bilingual, one to one and split without leaks."""

from __future__ import annotations

import pytest

from training.phrasebook import checks
from training.phrasebook.grammar import (
    GrammarError,
    Phrase,
    grammar,
    indefinite,
    load_slots,
    load_templates,
    phrases,
    plural,
)


@pytest.fixture(scope="module")
def all_phrases() -> list[Phrase]:
    return phrases()


def test_there_are_enough_templates_domains_and_pairs(all_phrases: list[Phrase]) -> None:
    assert len({p.template for p in all_phrases}) >= 150
    assert len({p.domain for p in all_phrases}) >= 10
    assert len(all_phrases) >= 100_000


def test_every_sentence_has_exactly_one_partner(all_phrases: list[Phrase]) -> None:
    assert checks.not_one_to_one(all_phrases) == []


def test_articles_characters_and_lengths_are_right(all_phrases: list[Phrase]) -> None:
    assert checks.badly_written(all_phrases) == []


def test_held_out_templates_use_only_words_seen_in_training(all_phrases: list[Phrase]) -> None:
    assert checks.unseen_words(all_phrases) == []


def test_about_one_template_in_seven_is_held_out() -> None:
    _, templates = grammar()
    slotted = [t for t in templates if t.keys("ja")]
    share = sum(t.held_out for t in slotted) / len(slotted)
    assert 0.12 < share < 0.20


def test_no_evaluation_sentence_is_in_train(all_phrases: list[Phrase]) -> None:
    train = {s for p in all_phrases if p.split == "train" for s in (p.ja, p.en)}
    others = {s for p in all_phrases if p.split != "train" for s in (p.ja, p.en)}
    assert not train & others


def test_a_sentence_after_an_opener_goes_on_in_small_letters_and_stays_in_its_split(all_phrases: list[Phrase]) -> None:
    plain = {(p.template, p.ja): p for p in all_phrases}
    opened = [(p, plain.get((p.template, p.ja.partition("、")[2]))) for p in all_phrases]
    pairs = [(after, sentence) for after, sentence in opened if sentence is not None]
    assert len(pairs) > 40_000
    for after, sentence in pairs:
        assert after.split == sentence.split
        assert after.en.endswith((f" {sentence.en}", f" {sentence.en[0].lower()}{sentence.en[1:]}"))
    assert not [p.en for p in all_phrases if ", The " in p.en or ", Please " in p.en or " i " in p.en]


def test_all_four_splits_exist_in_the_promised_proportions(all_phrases: list[Phrase]) -> None:
    sizes = {s: sum(p.split == s for p in all_phrases) for s in ("train", "dev", "test")}
    seen = sum(sizes.values())
    assert abs(sizes["dev"] / seen - 0.03) < 0.01
    assert abs(sizes["test"] / seen - 0.05) < 0.01
    assert any(p.split == "unseen_template" for p in all_phrases)


def test_fixed_phrases_are_always_trained(all_phrases: list[Phrase]) -> None:
    _, templates = grammar()
    fixed = {t.id for t in templates if not t.keys("ja")}
    assert len(fixed) >= 25
    assert {p.split for p in all_phrases if p.template in fixed} == {"train"}


def test_both_sides_of_every_template_consume_the_same_slots() -> None:
    _, templates = grammar()
    assert all(set(t.keys("ja")) == set(t.keys("en")) for t in templates)


def test_the_same_seed_gives_the_same_sample() -> None:
    first, again, other = (phrases(seed, per_template=5) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_sample_respects_the_limit_and_keeps_each_split(all_phrases: list[Phrase]) -> None:
    split_of = {p.id: p.split for p in all_phrases}
    sample = phrases(per_template=3)
    assert all(split_of[p.id] == p.split for p in sample)
    assert len(sample) <= 3 * len({p.template for p in all_phrases})


def test_phrase_ids_are_unique(all_phrases: list[Phrase]) -> None:
    assert len({p.id for p in all_phrases}) == len(all_phrases)


def test_two_slots_of_one_list_never_take_the_same_value(all_phrases: list[Phrase]) -> None:
    ramen_twice = "Which do you like better, ramen or ramen?"
    assert all(p.en != ramen_twice for p in all_phrases)


@pytest.mark.parametrize(
    ("noun", "with_article", "several"),
    [
        ("apple", "an apple", "apples"),
        ("bus", "a bus", "buses"),
        ("dictionary", "a dictionary", "dictionaries"),
    ],
)
def test_regular_english_forms_are_derived(noun: str, with_article: str, several: str) -> None:
    assert indefinite(noun) == with_article
    assert plural(noun) == several


@pytest.mark.parametrize(
    ("template", "complaint"),
    [
        ('{id: t, ja: "{pet}です。", en: "It is {animal}."}', "one side only"),
        ('{id: t, ja: "{bird}です。", en: "It is {bird}."}', "unknown slot bird"),
        ('{id: t, ja: "{pet}です。", en: "It is {pet.size}."}', "no form size"),
        ('{id: t, ja: "犬です。"}', "needs id, ja, en"),
        ('{id: t, ja: "{Pet}です。", en: "It is {Pet}."}', "malformed placeholder"),
    ],
)
def test_a_faulty_template_is_reported_with_file_and_id(template: str, complaint: str) -> None:
    slots = load_slots("pet: {values: [{ja: 犬, en: dog}]}\nanimal: {values: [{ja: 猫, en: cat}]}")
    with pytest.raises(GrammarError, match=f"pets.yaml: .*t.*{complaint}"):
        load_templates(f"domain: pets\ntemplates:\n  - {template}", "pets.yaml", slots)


def test_a_slot_list_that_repeats_a_value_is_refused() -> None:
    with pytest.raises(GrammarError, match="pet: en repeats dog"):
        load_slots("pet: {values: [{ja: 犬, en: dog}, {ja: いぬ, en: dog}]}")
