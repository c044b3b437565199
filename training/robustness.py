"""What microphones, rooms and speakers do to a recording, each at a fixed strength: conditions nobody trained on.

Training augments with random mixtures of milder effects (`training.augment`); here every effect stands alone. Tempo
and pitch are changed one without the other, which training never does (Signalsmith Stretch).
"""

from collections.abc import Callable

import numpy as np

from stsmt.audio import Audio
from training.augment import add_noise, add_reverb, limit_band

TELEPHONE_HZ = (300.0, 3400.0)  # ITU-T G.712
REVERB_SECONDS = 0.5  # time to -60 dB: a living room
CLIPPED_SHARE = 0.3  # of the peak: everything above is cut off
SILENCE_SECONDS = 1.0

Alter = Callable[[Audio, int], Audio]
Change = Callable[[np.ndarray, np.random.Generator, int], np.ndarray]


def _altering(change: Change) -> Alter:
    def alter(audio: Audio, seed: int) -> Audio:
        changed = change(audio.samples, np.random.default_rng(seed), audio.sample_rate)
        return Audio(np.clip(changed, -1.0, 1.0).astype(np.float32), audio.sample_rate)

    return alter


def _noise(snr_db: float) -> Change:
    return lambda samples, generator, rate: add_noise(samples, snr_db, generator)


def _stretch(tempo: float = 1.0, semitones: float = 0.0) -> Change:
    """Another tempo or another pitch, the other one kept."""

    def change(samples: np.ndarray, generator: np.random.Generator, rate: int) -> np.ndarray:
        from python_stretch import Signalsmith

        stretch = Signalsmith.Stretch()
        stretch.preset(1, rate)
        stretch.setTimeFactor(tempo)
        stretch.setTransposeSemitones(semitones)
        return np.asarray(stretch.process(samples.astype(np.float32)[None]))[0]

    return change


def _clip(samples: np.ndarray, generator: np.random.Generator, rate: int) -> np.ndarray:
    limit = CLIPPED_SHARE * np.abs(samples).max()
    return np.clip(samples, -limit, limit) / CLIPPED_SHARE


def _lead_in(samples: np.ndarray, generator: np.random.Generator, rate: int) -> np.ndarray:
    return np.pad(samples, (int(SILENCE_SECONDS * rate), 0))


CONDITIONS: dict[str, Alter] = {
    name: _altering(change)
    for name, change in (
        ("noise at 20 dB", _noise(20)),
        ("noise at 10 dB", _noise(10)),
        ("noise at 5 dB", _noise(5)),
        ("telephone band", lambda samples, _, rate: limit_band(samples, *TELEPHONE_HZ, rate)),
        ("reverberation", lambda samples, generator, rate: add_reverb(samples, REVERB_SECONDS, generator, rate)),
        ("15 % faster", _stretch(tempo=1.15)),
        ("15 % slower", _stretch(tempo=0.85)),
        ("3 semitones up", _stretch(semitones=3)),
        ("3 semitones down", _stretch(semitones=-3)),
        ("clipped", _clip),
        ("silence before", _lead_in),
    )
}
