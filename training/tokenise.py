"""Encode the synthesised speech with the final codec: `python -m training.tokenise --work runs/embedded`.

Writes `work/codes.parquet`, one row per utterance: its text, voice and split, `codes` of the clean sound, and for a
seeded share of them `augmented`, codes of the sound as a bad microphone would give it (used as sources only).
"""

import argparse
import multiprocessing
import os
import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stsmt.codec import features as codec_features
from training.augment import augment
from training.speech import SAMPLE_RATE, Spoken, read_rows

FIELDS = ("phrase", "template", "language", "voice", "text", "split")
_codec: Any = None


def _load(path: Path) -> None:
    import torch
    from transformers import Xcodec2Model

    global _codec
    torch.set_num_threads(1)
    _codec = Xcodec2Model.from_pretrained(path, dtype=torch.float32).eval()


def _encode(row: dict, samples: np.ndarray) -> np.ndarray:
    from training.codec import encode_spoken

    features = codec_features(samples.astype(np.float32) / 32768.0)["input_features"][0]
    fields = {k: row[k] for k in (*FIELDS, "phones", "reading")}
    return encode_spoken(_codec, Spoken(**fields, samples=samples, features=features))


def _tokenise(task: tuple[dict, np.ndarray, float, int]) -> dict:
    row, samples, share, seed = task
    rng = random.Random(f"augmented:{seed}:{row['phrase']}:{row['language']}")
    found = {k: row[k] for k in FIELDS} | {"codes": _encode(row, samples), "augmented": None}
    if rng.random() < share:
        changed = augment(samples / 32768.0, rng, SAMPLE_RATE)
        found["augmented"] = _encode(row, np.round(changed * 32767).astype(np.int16))
    return found


def tokenise(work: Path, *, augmented_share: float, seed: int, processes: int) -> None:
    """Encode everything in `work/speech` to `work/codes.parquet`."""
    from tqdm import tqdm

    tasks = [(row, samples, augmented_share, seed) for row, samples in read_rows(work)]
    context = multiprocessing.get_context("spawn")
    with context.Pool(processes, initializer=_load, initargs=(work / "codec",)) as workers:
        done = workers.imap(_tokenise, tasks, chunksize=32)
        rows = list(tqdm(done, total=len(tasks), desc="codes"))
    codes = pa.list_(pa.uint16())
    schema = pa.schema([*((f, pa.string()) for f in FIELDS), ("codes", codes), ("augmented", codes)])
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), work / "codes.parquet", compression="zstd")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--augmented", type=float, default=0.35, help="share of utterances with an augmented copy")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    a = parser.parse_args()
    tokenise(a.work, augmented_share=a.augmented, seed=a.seed, processes=a.processes)


if __name__ == "__main__":
    main()
