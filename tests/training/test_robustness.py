"""Each condition changes what it names and nothing else."""

import numpy as np
import pytest

from stsmt.audio import Audio
from training.robustness import CONDITIONS, SILENCE_SECONDS

RATE = 16_000
TONE = Audio((0.3 * np.sin(2 * np.pi * 440 * np.arange(2 * RATE) / RATE)).astype(np.float32), RATE)


def pitch(audio: Audio) -> float:
    spectrum = np.abs(np.fft.rfft(audio.samples))
    return float(spectrum.argmax() * audio.sample_rate / len(audio.samples))


@pytest.mark.parametrize("name", CONDITIONS)
def test_a_condition_is_seeded_and_gives_sound_in_range(name: str) -> None:
    one, two = (CONDITIONS[name](TONE, 3) for _ in range(2))
    assert np.array_equal(one.samples, two.samples)
    assert one.sample_rate == RATE and np.isfinite(one.samples).all()
    assert 0.05 < np.abs(one.samples).max() <= 1.0
    assert not np.array_equal(one.samples, TONE.samples)


def test_noise_is_as_strong_as_its_name_says() -> None:
    for decibels in (20, 10, 5):
        noise = CONDITIONS[f"noise at {decibels} dB"](TONE, 0).samples - TONE.samples
        assert 10 * np.log10(np.mean(TONE.samples**2) / np.mean(noise**2)) == pytest.approx(decibels, abs=0.3)


def test_tempo_and_pitch_are_changed_apart() -> None:
    faster, higher = CONDITIONS["15 % faster"](TONE, 0), CONDITIONS["3 semitones up"](TONE, 0)
    assert faster.seconds == pytest.approx(TONE.seconds / 1.15, rel=0.01)
    assert pitch(faster) == pytest.approx(440, rel=0.02)
    assert higher.seconds == TONE.seconds
    assert pitch(higher) == pytest.approx(440 * 2 ** (3 / 12), rel=0.02)


def test_silence_is_put_before_and_takes_nothing_away() -> None:
    longer = CONDITIONS["silence before"](TONE, 0)
    assert not longer.samples[: int(SILENCE_SECONDS * RATE)].any()
    assert np.array_equal(longer.samples[int(SILENCE_SECONDS * RATE) :], TONE.samples)
