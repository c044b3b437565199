"""Confidence is compared with being right."""

from typing import Any

import pytest

from stsmt.translator import CONFIDENCE_LIMIT
from training.calibration import calibration, find_limit, judged


def heard(confidence: float | None, transcript: str, said: str = "駅はどこですか。") -> dict[str, Any]:
    part = {"confidence": confidence, "transcript": transcript}
    return {"language": "ja", "source_text": said, "parts": {"stt": part}}


def test_case_and_punctuation_do_not_make_a_transcript_wrong() -> None:
    english = {"language": "en", "source_text": "Is it open?", "parts": {"stt": {"confidence": 0.5}}}
    english["parts"]["stt"]["transcript"] = "is it open"
    assert judged([heard(0.9, "駅はどこですか"), english]) == [(0.9, True), (0.5, True)]


def test_failures_have_no_confidence_and_are_left_out() -> None:
    assert calibration([{"language": "ja", "source_text": "駅", "parts": {"stt": {"error": "…"}}}]) is None


def test_the_limit_is_the_lowest_that_flags_enough_of_the_wrong() -> None:
    pairs = [(0.2, False), (0.4, False), (0.6, False), (0.9, False), (0.3, True)]
    assert find_limit(pairs, 0.75) == 0.61
    assert find_limit([(0.9, True)], 0.75) is None


def test_every_transcript_is_in_one_bin_and_shares_are_of_their_kind() -> None:
    sure, unsure = min(1.0, CONFIDENCE_LIMIT + 0.01), CONFIDENCE_LIMIT - 0.01
    found = calibration([heard(1.0, "駅はどこですか"), heard(sure, "駅は"), heard(unsure, "駅"), heard(0.0, "")])
    assert found is not None
    assert sum(row["n"] for row in found["bins"]) == 4
    assert found["wrong_flagged"]["value"] == pytest.approx(66.667) and found["wrong_flagged"]["n"] == 3
    assert found["right_flagged"]["value"] == 0
