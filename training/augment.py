"""Source-side augmentation: what microphones and rooms do to sound, and speakers to codes. Targets stay clean."""

import random
from collections.abc import Sequence

import numpy as np
import soxr
from scipy.signal import butter, fftconvolve, sosfilt

RATE_RANGE = (0.86, 1.16)  # joint tempo and pitch change
NOISE_DB = (5.0, 35.0)  # signal-to-noise ratio
GAIN_DB = (-12.0, 10.0)
REVERB_SECONDS = (0.05, 0.35)  # time to -60 dB
MOVED, DROPPED, REPEATED = 0.12, 0.04, 0.04  # largest shares of an utterance's codes
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


class CodeJitter:
    """Changes an utterance's codes as another speaker would: a share of them moves to a neighbour (one digit of the
    quantiser by one level), others are dropped or repeated, as in slower or faster speech. Costs nothing, and keeps the
    language model from learning the spoken sentences by heart.
    """

    def __init__(self, levels: Sequence[int]) -> None:
        self.levels = np.array(levels)
        self.basis = np.cumprod([1, *levels[:-1]])

    def __call__(self, heard: Sequence[int] | np.ndarray, rng: random.Random) -> np.ndarray:
        """A changed copy [frames'] of codes [frames]; at least one code is left."""
        codes, noise = np.array(heard, np.int64), np.random.default_rng(rng.getrandbits(32))
        moved = noise.random(len(codes)) < noise.uniform(0, MOVED)
        digit = noise.integers(len(self.levels), size=len(codes))
        level = codes // self.basis[digit] % self.levels[digit]
        other = np.clip(level + noise.choice((-1, 1), len(codes)), 0, self.levels[digit] - 1)
        codes = codes + moved * (other - level) * self.basis[digit]
        chance = noise.random(len(codes))
        dropped, repeated = noise.uniform(0, DROPPED), noise.uniform(0, REPEATED)
        times = np.where(chance < dropped, 0, np.where(chance > 1 - repeated, 2, 1))
        return np.repeat(codes, times) if times.any() else codes
