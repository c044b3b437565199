"""How much of a sound is left after the codec, without asking anybody what was said.

PESQ (ITU-T P.862.2, wideband) comes from the package `pesq`, which needs a C compiler to install and is therefore
optional (`pip install -e ".[quality]"`); without it the report has no such row.
"""

from collections.abc import Iterable
from functools import cache

import numpy as np
import torch

from stsmt.audio import Audio, resample
from training.losses import SpectralLoss

PESQ_RATE = 16000
DECIBELS = 20 / np.log(10)  # of a difference of natural logarithms of magnitudes


def fidelity(made: Audio, real: Audio) -> dict[str, float | None]:
    """`mel_distance` in dB and `pesq` (MOS-LQO, 1.04 to 4.64; None where it cannot be had) of `made` against `real`."""
    real = resample(real, made.sample_rate)
    size = min(len(made.samples), len(real.samples))
    pair = (Audio(made.samples[:size], made.sample_rate), Audio(real.samples[:size], made.sample_rate))
    return {"mel_distance": mel_distance(*pair), "pesq": pesq_wideband(*pair)}


@cache
def _spectral(sample_rate: int) -> SpectralLoss:
    return SpectralLoss(sample_rate)


def mel_distance(made: Audio, real: Audio) -> float:
    """Mean absolute difference of the mel spectra in dB, over the windows of the codec's training loss."""
    waves = (torch.from_numpy(audio.samples)[None] for audio in (made, real))
    return round(float(_spectral(made.sample_rate).mel_distance(*waves)) * DECIBELS, 3)


def pesq_wideband(made: Audio, real: Audio) -> float | None:
    """PESQ-WB; None without the package, and for sounds in which it finds no speech."""
    try:
        from pesq import PesqError, pesq  # type: ignore[import-untyped, import-not-found, unused-ignore]
    except ImportError:
        return None
    samples = (resample(audio, PESQ_RATE).samples for audio in (real, made))
    score = pesq(PESQ_RATE, *samples, "wb", on_error=PesqError.RETURN_VALUES)
    return round(float(score), 3) if score >= 1 else None


def perplexity(counts: Iterable[float]) -> float:
    """Of a code book's use: how many codes, used equally often, would be as unpredictable."""
    shares = np.array([count for count in counts if count > 0], np.float64)
    shares /= shares.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))
