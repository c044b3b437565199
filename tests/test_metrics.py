"""Scores: known values, agreement with the libraries, and intervals that mean something."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sacrebleu.metrics import BLEU, CHRF

from stsmt.metrics import (
    bleu,
    bootstrap,
    character_error_rate,
    chrf,
    error_rate,
    exact_match,
    median,
    share,
    signatures,
    word_error_rate,
)

ENGLISH = ["where is the station", "two cups of coffee please", "how much is this", "i am waiting for my mother"]
HEARD = ["where is the station", "two cup of coffee", "how much this is", ""]
JAPANESE = ["駅はどこですか", "これはいくらですか"]


@pytest.mark.parametrize(
    ("reference", "hypothesis", "words", "characters"),
    [
        ("a b c d", "a b c d", 0, 0),
        ("a b c d", "a x c", 50, 50),
        ("a b c d", "", 100, 100),
        ("a b", "a b c d e f", 200, 200),
        ("駅はどこ", "駅はここ", 100, 25),
        ("駅 は", "駅は", 100, 0),
    ],
)
def test_error_rates_of_one_sentence(reference: str, hypothesis: str, words: float, characters: float) -> None:
    assert word_error_rate([reference], [hypothesis]).value == pytest.approx(words)
    assert character_error_rate([reference], [hypothesis]).value == pytest.approx(characters)


def test_the_corpus_rate_weighs_sentences_by_length() -> None:
    assert word_error_rate(["a", "b c d"], ["x", "b c d"]).value == pytest.approx(25)


def test_japanese_counts_characters_and_english_words() -> None:
    assert error_rate("ja", ["駅はどこ"], ["駅はここ"]).value == pytest.approx(25)
    assert error_rate("en", ["the cat"], ["the cats"]).value == pytest.approx(50)


def test_a_reference_without_words_does_not_divide_by_zero() -> None:
    assert word_error_rate([""], [""]).value == 0
    assert word_error_rate([""], ["a"]).value == 100


def test_translation_scores_are_sacrebleus() -> None:
    assert chrf(ENGLISH, HEARD).value == pytest.approx(CHRF().corpus_score(HEARD, [ENGLISH]).score)
    assert bleu(ENGLISH, HEARD).value == pytest.approx(BLEU().corpus_score(HEARD, [ENGLISH]).score)
    assert chrf(JAPANESE, JAPANESE).value == pytest.approx(100)
    assert "nc:6" in signatures()["chrF"] and "tok:13a" in signatures()["BLEU"]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.text("abc ", min_size=1, max_size=12), st.text("abc ", max_size=12)), min_size=1))
def test_intervals_hold_the_order(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    for score in (word_error_rate, character_error_rate, chrf):
        found = score(references, hypotheses)
        assert 0 <= found.low <= found.high and found.n == len(pairs)


def test_the_same_seed_gives_the_same_interval_and_more_data_a_narrower_one() -> None:
    once, again = chrf(ENGLISH, HEARD, seed=3), chrf(ENGLISH, HEARD, seed=3)
    assert once == again
    many = chrf(ENGLISH * 25, HEARD * 25, seed=3)
    assert many.value == pytest.approx(once.value)
    assert many.high - many.low < once.high - once.low
    assert many.low <= many.value <= many.high


def test_the_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(0)
    hits = 0
    for trial in range(100):
        drawn = random.normal(5, 2, (60, 1))
        found = bootstrap(np.hstack([drawn, np.ones((60, 1))]), lambda sums: sums[0] / sums[1], trial)
        hits += found.low <= 5 <= found.high
    assert 86 <= hits <= 100


def test_a_share_of_everything_is_not_certain() -> None:
    found = share([True] * 100)
    assert found.value == found.high == 100
    assert found.low == pytest.approx(96.3, abs=0.1)  # Wilson, 100 of 100
    assert share([True, False]).value == 50
    assert share([False] * 10).low == 0


def test_exact_match_is_all_or_nothing() -> None:
    assert exact_match(ENGLISH, HEARD).value == 25


def test_the_median_ignores_an_outlier() -> None:
    found = median([1, 2, 3, 1000])
    assert found.value == 2.5 and found.low >= 1 and found.high <= 1000


@pytest.mark.parametrize("score", [word_error_rate, character_error_rate, chrf, bleu])
def test_nothing_and_unequal_lists_are_refused(score: object) -> None:
    with pytest.raises(ValueError):
        score([], [])  # type: ignore[operator]
    with pytest.raises(ValueError):
        score(["a", "b"], ["a"])  # type: ignore[operator]
    with pytest.raises(ValueError):
        share([])
    with pytest.raises(ValueError):
        median([])
