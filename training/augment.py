"""Source-side augmentation: what microphones and rooms do to a voice. Targets stay clean."""

import random

import numpy as np
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

RATE_RANGE = (0.92, 1.09)  # joint tempo and pitch change
NOISE_DB = (8.0, 35.0)  # signal-to-noise ratio
GAIN_DB = (-12.0, 6.0)
REVERB_SECONDS = (0.05, 0.35)  # time to -60 dB
BAND_LOW_HZ, BAND_HIGH_HZ = (60, 300), (3200, 7500)


def augment(samples: np.ndarray, rng: random.Random, sample_rate: int) -> np.ndarray:
    """A changed copy of mono float samples in -1..1; each effect is drawn with its own probability."""
    noise = np.random.default_rng(rng.getrandbits(32))
    if rng.random() < 0.7:
        samples = soxr.resample(samples, sample_rate, sample_rate * rng.uniform(*RATE_RANGE))
    if rng.random() < 0.3:
        samples = add_reverb(samples, rng.uniform(*REVERB_SECONDS), noise, sample_rate)
    if rng.random() < 0.4:
        samples = limit_band(samples, rng.uniform(*BAND_LOW_HZ), rng.uniform(*BAND_HIGH_HZ), sample_rate)
    if rng.random() < 0.6:
        samples = add_noise(samples, rng.uniform(*NOISE_DB), noise)
    samples = samples * 10 ** (rng.uniform(*GAIN_DB) / 20)
    return np.clip(samples, -1.0, 1.0).astype(np.float32)


def add_noise(samples: np.ndarray, snr_db: float, generator: np.random.Generator) -> np.ndarray:
    """White or pink-like noise at a signal-to-noise ratio in dB."""
    noise = generator.standard_normal(len(samples))
    if generator.random() < 0.5:
        spectrum = np.fft.rfft(noise) / np.sqrt(np.arange(1, len(noise) // 2 + 2))
        noise = np.fft.irfft(spectrum, len(noise))
    power = np.mean(samples**2) / 10 ** (snr_db / 10)
    return samples + noise * np.sqrt(power / (np.mean(noise**2) + 1e-12))


def add_reverb(samples: np.ndarray, seconds: float, generator: np.random.Generator, sample_rate: int) -> np.ndarray:
    """Convolve with exponentially decaying noise (60 dB in `seconds`), the direct sound twice as strong."""
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    tail = generator.standard_normal(len(time)) * 10 ** (-3 * time / seconds)
    tail *= 0.5 / (np.sqrt(np.sum(tail**2)) + 1e-9)
    tail[0] += 1.0
    return fftconvolve(samples, tail)[: len(samples)]


def limit_band(samples: np.ndarray, low_hz: float, high_hz: float, sample_rate: int) -> np.ndarray:
    """A second-order band-pass, as small microphones and telephones have."""
    return sosfilt(butter(2, (low_hz, high_hz), "bandpass", fs=sample_rate, output="sos"), samples)
