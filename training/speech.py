"""The synthesised speech in memory: samples, semantic features and labels of every utterance."""

import json
import multiprocessing
import random
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import soundfile as sf
from tqdm import tqdm

from stsmt.codec import features
from stsmt.example import Language
from training.augment import augment

SAMPLE_RATE = 16_000
HOP = 320
SHARD_SUFFIXES = (".npz", ".opus")
OPUS_COMPRESSION = 0.85  # of libsndfile: 25 dB between a signal and what is lost of it

Key = tuple[str, str, str]  # what names an utterance: its phrase, its language and its voice


def key_of(row: Mapping[str, Any]) -> Key:
    """The key of a row about an utterance."""
    return row["phrase"], row["language"], row["voice"]


@dataclass(frozen=True)
class Spoken:
    """One utterance. `samples` int16 [T]; `features` float16 [frames, 160] of the whole utterance."""

    phrase: str
    template: str
    language: Language
    voice: str
    text: str
    phones: list[str]
    reading: str | None
    split: str
    samples: np.ndarray
    features: np.ndarray

    @property
    def frames(self) -> int:
        """Valid codec frames."""
        return len(self.features)


def semantic_features(samples: np.ndarray) -> np.ndarray:
    """Features [frames, 160] of float samples [T] at 16 kHz, as the live codec computes them."""
    return features(samples)["input_features"][0]


def list_shards(folder: Path) -> list[Path]:
    """The shards of a folder in order: `.npz` as `training.synthesise` writes them, or `.opus` with the same lists."""
    found = (path for path in folder.glob("*") if path.suffix in SHARD_SUFFIXES)
    return sorted(path for path in found if not path.name.endswith(".tmp.npz"))


def read_shard(path: Path) -> np.ndarray:
    """Samples [T] int16 of a shard's utterances end to end."""
    if path.suffix == ".npz":
        return np.load(path)["audio"]
    return sf.read(path, dtype="int16")[0]


def write_opus(path: Path, samples: np.ndarray) -> None:
    """int16 samples as Opus, at about 5 kB a second: what is lost is not heard.

    But a spectral loss sees it (0.86, where the codec's own is 2.4): decoders are better trained on the original
    (`training.synthesise --known`).
    """
    sf.write(path, samples, SAMPLE_RATE, format="OGG", subtype="OPUS", compression_level=OPUS_COMPRESSION)


def read_list(shard: Path) -> list[dict[str, Any]]:
    """The rows of a shard's utterances."""
    return json.loads(shard.with_suffix(".json").read_text(encoding="utf-8"))


def read_rows(work: Path) -> list[tuple[dict, np.ndarray]]:
    """All utterances of `work/speech` as (row, int16 samples)."""
    found = []
    for path in list_shards(work / "speech"):
        audio = read_shard(path)
        for row in read_list(path):
            found.append((row, audio[row["offset"] : row["offset"] + row["samples"]]))
    return found


def load_speech(
    work: Path,
    *,
    augmented_share: float,
    seed: int,
    limit: int | None = None,
    wanted: Callable[[Key], bool] | None = None,
    processes: int = 1,
) -> list[Spoken]:
    """Utterances with features; a seeded share of them is augmented (samples and features alike).

    `limit` takes a seeded sample of so many; `wanted` says of a key whether to load it. Several `processes` are forked:
    what has started threads or a GPU should load alone.
    """
    listed = [(shard, row) for shard in list_shards(work / "speech") for row in read_list(shard)]
    if wanted is not None:
        listed = [(shard, row) for shard, row in listed if wanted(key_of(row))]
    if limit is not None and limit < len(listed):
        listed = random.Random(seed).sample(listed, limit)
    shards: dict[Path, list[dict[str, Any]]] = {}
    for shard, row in listed:
        shards.setdefault(shard, []).append(row)
    load = partial(_load_shard, augmented_share=augmented_share, seed=seed)
    with ExitStack() as stack:
        parts: Iterable[list[Spoken]]
        if processes > 1:
            pool = stack.enter_context(multiprocessing.get_context("fork").Pool(processes))
            parts = pool.imap(load, shards.items())
        else:
            parts = map(load, shards.items())
        return [spoken for part in tqdm(parts, total=len(shards), desc="features") for spoken in part]


def _load_shard(chosen: tuple[Path, list[dict[str, Any]]], *, augmented_share: float, seed: int) -> list[Spoken]:
    """The utterances of a shard that are listed."""
    shard, rows = chosen
    audio, loaded = read_shard(shard), []
    for row in rows:
        samples = audio[row["offset"] : row["offset"] + row["samples"]].copy()
        rng = random.Random(f"{seed}:{row['phrase']}:{row['language']}")
        if rng.random() < augmented_share:
            changed = augment(samples / 32768.0, rng, SAMPLE_RATE)
            samples = np.round(changed * 32767).astype(np.int16)
        features = semantic_features(samples.astype(np.float32) / 32768.0)
        fields = {k: row[k] for k in ("phrase", "template", "language", "voice", "text", "phones", "reading", "split")}
        loaded.append(Spoken(**fields, samples=samples, features=features.astype(np.float16)))
    return loaded
