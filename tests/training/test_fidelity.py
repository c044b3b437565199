"""What the codec's scores of sound say about sounds of known difference."""

import importlib.util

import numpy as np
import pytest

from stsmt.audio import Audio
from tests.conftest import make_speech
from training.fidelity import fidelity, perplexity
from training.measure import Record
from training.summary import summarise

SPEECH = make_speech(2.0)


def with_noise(level: float) -> Audio:
    noise = np.random.default_rng(0).standard_normal(len(SPEECH.samples)).astype(np.float32)
    return Audio(SPEECH.samples + level * noise, SPEECH.sample_rate)


def test_the_same_sound_has_no_distance_and_more_noise_is_farther_away() -> None:
    distances = [fidelity(sound, SPEECH)["mel_distance"] for sound in (SPEECH, with_noise(0.01), with_noise(0.1))]
    assert distances[0] == 0 and distances == sorted(distances) and distances[2] > 3


def test_twice_as_loud_is_six_decibels_away() -> None:
    louder = Audio(SPEECH.samples / 2 + with_noise(0.1).samples / 2, SPEECH.sample_rate)
    doubled = Audio(2 * louder.samples, louder.sample_rate)
    assert fidelity(doubled, louder)["mel_distance"] == pytest.approx(6.02, abs=0.1)


def test_a_longer_sound_at_another_rate_is_compared_over_the_common_time() -> None:
    longer = Audio(np.pad(SPEECH.samples, (0, 300)), SPEECH.sample_rate)
    assert fidelity(longer, SPEECH)["mel_distance"] == 0


def test_pesq_is_given_where_the_package_is_installed_and_only_there() -> None:
    scores = [fidelity(sound, SPEECH)["pesq"] for sound in (SPEECH, with_noise(0.1))]
    if importlib.util.find_spec("pesq") is None:
        assert scores == [None, None]
    else:
        assert scores[0] == pytest.approx(4.64, abs=0.05) and scores[1] < scores[0]


def test_perplexity_counts_codes_as_if_all_were_used_alike() -> None:
    assert perplexity([5, 5, 0, 5, 5]) == pytest.approx(4)
    assert 1 < perplexity([100, 1]) < 2


def record(codec: dict, said: str = "one two three four") -> Record:
    parts = {"judge": {"heard": said}, "codec": codec}
    texts = {"source_reading": said, "target_reading": "", "source_text": said, "target_text": ""}
    return {"set": "unseen_sentence", "language": "en", "target": "ja", "parts": parts, **texts}


def test_the_codecs_rows_say_what_it_costs_and_leave_out_what_was_not_measured() -> None:
    records = [
        record({"heard": "one two three", "codes": [0, 1], "mel_distance": 4.0, "pesq": None}),
        record({"heard": "one two three four", "codes": [2, 3], "mel_distance": 2.0, "pesq": None}),
    ]
    rows = {row["measure"]: row["value"] for row in summarise(records)}
    assert rows["codec.lost"] == pytest.approx(100 / 8)
    assert (rows["codec.mel"], rows["codec.use"]) == (3.0, 4.0) and "codec.pesq" not in rows
