"""Loops, silence and endless speech are told from sound generations."""

import random

import pytest

from stsmt.health import CODE_LOOP, TEXT_LOOP, expected_seconds, is_loop, measure_codes, measure_text

NOISE = random.Random(0).sample(range(4096), 300)


@pytest.mark.parametrize("pattern", [[7], [1, 2], [3, 1, 2], list(range(20)), list(range(32))])
def test_a_repeating_pattern_of_any_period_is_a_loop(pattern: list[int]) -> None:
    enough = max(CODE_LOOP, 4 * len(pattern))
    tail = (pattern * enough)[:enough]
    assert is_loop(NOISE + tail)
    assert not is_loop(NOISE + tail[:-2])


def test_natural_repetition_is_no_loop() -> None:
    assert not is_loop(NOISE)
    assert not is_loop([5] * 40 + NOISE[:10])  # a pause in the past
    assert not is_loop(NOISE + [5] * 40)  # 0.8 s of silence
    assert not is_loop(list(range(40)) * 3)
    assert not is_loop([])
    assert not is_loop([5] * 100, 0)
    assert not is_loop(list("いいえ、いいえ、いいえ、"), TEXT_LOOP)
    assert is_loop(list("いいえ、" * 4), TEXT_LOOP)
    assert is_loop(list("えええええええええええええええええ"), TEXT_LOOP)


def test_runs_and_repeated_ngrams_are_measured() -> None:
    assert measure_codes([]) == measure_text("")
    assert measure_codes([1, 1, 1, 2]).longest_run == 3
    assert measure_codes(NOISE).repeat_share == 0
    assert measure_codes([1, 2, 3, 4] * 25).repeat_share > 0.9
    assert measure_text("あの、あの、あの、あの、").repeat_share == pytest.approx(1 - 3 / 9)


def test_longer_text_takes_longer() -> None:
    assert 1 < expected_seconds("駅はどこですか。", "ja") < 3
    assert 1 < expected_seconds("Where is the station?", "en") < 3
