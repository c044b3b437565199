"""Fixtures shared by all tests: a tiny checkpoint of the real classes, and sound that passes for speech."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from stsmt.audio import Audio, write_wav

settings.register_profile("stsmt", deadline=None)  # a busy machine is no bug
settings.load_profile("stsmt")


@pytest.fixture(scope="session")
def tiny_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint folder with random weights; read only."""
    from tests.tiny import build_checkpoint

    return build_checkpoint(tmp_path_factory.mktemp("checkpoints") / "tiny")


def make_speech(seconds: float = 1.0, sample_rate: int = 16000, seed: int = 0) -> Audio:
    """A voiced buzz with syllables and a little noise."""
    t = np.arange(round(seconds * sample_rate)) / sample_rate
    buzz = sum(np.sin(2 * np.pi * 140 * k * t) / k for k in range(1, 12))
    syllables = 0.55 + 0.45 * np.sin(2 * np.pi * 4 * t)
    noise = np.random.default_rng(seed).normal(0, 0.01, len(t))
    return Audio((0.2 * buzz * syllables + noise).astype(np.float32), sample_rate)


@pytest.fixture
def speech() -> Audio:
    return make_speech()


@pytest.fixture
def speech_wav(tmp_path: Path, speech: Audio) -> Path:
    write_wav(tmp_path / "speech.wav", speech)
    return tmp_path / "speech.wav"
