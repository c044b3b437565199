"""Kaldi log-mel features for whole corpora: the same numbers as `stsmt.codec.features`, twenty times as fast.

The live path uses transformers' `SeamlessM4TFeatureExtractor`, which loops over frames; here all frames of an
utterance are one matrix. Equality of the two is tested.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.fft import rfft
from transformers.audio_utils import mel_filter_bank

HOP = 320
FRAME, SHIFT, FFT, BANDS = 400, 160, 512, 80
SAMPLE_RATE = 16_000
PREEMPHASIS = 0.97
FLOOR = 1.192092955078125e-07


@cache
def _constants() -> tuple[NDArray, NDArray]:
    """(Povey window [400], mel filters [257, 80])."""
    window = np.hanning(FRAME) ** 0.85
    mel = mel_filter_bank(
        FFT // 2 + 1, BANDS, 20, SAMPLE_RATE // 2, SAMPLE_RATE, mel_scale="kaldi", triangularize_in_mel_space=True
    )
    return window, mel.astype(np.float32)


def corpus_features(samples: NDArray[np.float32], hop: int = HOP) -> NDArray[np.float32]:
    """Normalised features [frames, 160] of samples [T] at 16 kHz; frames = floor(T / hop) + 1."""
    window, mel = _constants()
    padded = np.pad(np.asarray(samples, np.float64), (0, hop - len(samples) % hop))
    padded = np.pad(padded, hop // 2) * 2**15
    frames = np.lib.stride_tricks.sliding_window_view(padded, FRAME)[::SHIFT].copy()
    frames -= frames.mean(1, keepdims=True)
    frames[:, 1:] -= PREEMPHASIS * frames[:, :-1].copy()
    frames[:, 0] *= 1 - PREEMPHASIS
    # Single precision from here on: half the time, and far below the differences that a quantiser sees.
    spectrum = rfft((frames * window).astype(np.float32), FFT)
    power = spectrum.real**2 + spectrum.imag**2
    log_mel = np.log(np.maximum(power @ mel, FLOOR))
    log_mel = (log_mel - log_mel.mean(0)) / np.sqrt(log_mel.var(0, ddof=1) + 1e-7)
    even = len(log_mel) // 2 * 2
    return log_mel[:even].reshape(-1, 2 * BANDS).astype(np.float32)
