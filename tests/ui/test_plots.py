"""Spectrograms: what is loud where, and a figure that every theme can show."""

import re

import numpy as np
import pytest

from stsmt.audio import Audio
from stsmt.ui.plots import BANDS, COLUMNS, SAMPLE_RATE, figure, figures, mel_spectrogram, picture
from tests.conftest import make_speech


def tone(hertz: float, seconds: float = 1.0, sample_rate: int = SAMPLE_RATE) -> Audio:
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    return Audio((0.5 * np.sin(2 * np.pi * hertz * t)).astype(np.float32), sample_rate)


@pytest.mark.parametrize("sample_rate", [16000, 44100])
@pytest.mark.parametrize("hertz", [100, 440, 1000, 3000, 7000])
def test_a_tone_is_loudest_in_its_band(hertz: float, sample_rate: int) -> None:
    band = int(mel_spectrogram(tone(hertz, sample_rate=sample_rate)).mean(axis=1).argmax())
    top = 2595 * np.log10(1 + SAMPLE_RATE / 2 / 700)
    centre = 700 * (10 ** (top * (band + 1) / (BANDS + 1) / 2595) - 1)
    assert centre == pytest.approx(hertz, rel=0.1, abs=40)


def test_values_are_shares_of_the_loudest(speech: Audio) -> None:
    mel = mel_spectrogram(speech)
    assert mel.shape[0] == BANDS
    assert mel.max() == 1
    assert mel.min() >= 0


@pytest.mark.parametrize("seconds", [0.001, 0.2, 60.0])
def test_any_length_fits_a_screen(seconds: float) -> None:
    assert 1 <= picture(make_speech(seconds)).width <= COLUMNS


def test_silence_is_blank() -> None:
    assert not mel_spectrogram(Audio(np.zeros(16000, np.float32), 16000)).any()


def test_low_tones_are_at_the_bottom() -> None:
    opacity = np.asarray(picture(tone(200)))[..., 1]
    assert opacity[BANDS // 2 :].sum() > 10 * opacity[: BANDS // 2].sum()


def test_a_figure_has_no_colour_of_its_own_and_says_what_it_shows(speech: Audio) -> None:
    markup = figure(speech, "<Your speech>", 'Mel "spectrogram"')
    assert "&lt;Your speech&gt;" in markup
    assert 'aria-label="Mel &quot;spectrogram&quot;"' in markup
    assert not re.search(r"(?<!url\(data:)#[0-9a-f]{3,6}\b|rgb\(", markup.split("base64")[0] + markup.split(")")[-1])
    assert "1.0 s" in markup


def test_no_figures_are_nothing() -> None:
    assert figures([]) == ""
