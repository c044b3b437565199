"""Encode the synthesised speech with the final codec: `python -m training.tokenise --work runs/embedded`.

Writes `work/codes.parquet`, one row per utterance: its text, voice and split, `codes` of the clean sound, and for a
seeded share of them `augmented`, codes of the sound as a bad microphone would give it (used as sources only). What is
in the file already stays: codes are final, and only what was added since is encoded (with a larger share than before:
the augmented copies that are missing).
Utterances of the same number of frames are encoded together: without padding, a batch gives what each would alone.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import Xcodec2Model

from training.codec import crop_waves
from training.recogniser import pad_features
from training.speech import Spoken, key_of, load_speech

FIELDS = ("phrase", "template", "language", "voice", "text", "split")
BATCH = 16
CHUNK = 5000  # utterances between two writes


def batches_of_equal_length(corpus: Sequence[Spoken]) -> Iterator[list[int]]:
    """Indices into `corpus`, at most `BATCH` together, all of the same number of frames."""
    by_frames: dict[int, list[int]] = defaultdict(list)
    for index, spoken in enumerate(corpus):
        by_frames[spoken.frames].append(index)
    for group in by_frames.values():
        yield from (group[i : i + BATCH] for i in range(0, len(group), BATCH))


@torch.inference_mode()
def encode_corpus(codec: Xcodec2Model, corpus: Sequence[Spoken], device: str) -> list[np.ndarray]:
    """Codes (uint16) of every utterance, in order."""
    codes: list[np.ndarray] = [np.zeros(0, np.uint16)] * len(corpus)
    hop = codec.hop_length
    with tqdm(total=len(corpus), desc="codes") as bar:
        for group in batches_of_equal_length(corpus):
            batch = [corpus[i] for i in group]
            waves = crop_waves(batch, [0] * len(batch), batch[0].frames, hop).to(device)
            features, mask = (t.to(device) for t in pad_features(batch))
            encoded = codec.encode(waves, input_features=features, input_features_mask=mask).audio_codes[:, 0].cpu()
            for index, row in zip(group, encoded, strict=True):
                codes[index] = row[: (len(corpus[index].samples) + 1) // hop].numpy().astype(np.uint16)
            bar.update(len(group))
    return codes


def write_rows(rows: list[dict[str, Any]], file: Path) -> None:
    """Write `rows` to the Parquet `file`; an interrupted write leaves the old one."""
    kind = pa.list_(pa.uint16())
    texts = ((field, pa.string()) for field in (*FIELDS, "phones"))
    schema = pa.schema([*texts, ("codes", kind), ("augmented", kind)])
    temporary = file.with_suffix(".tmp")
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")
    temporary.rename(file)


def add_augmented(
    codec: Xcodec2Model, rows: list[dict[str, Any]], work: Path, share: float, seed: int, device: str
) -> None:
    """Give a seeded `share` of the training `rows` an augmented copy, `CHUNK` at a time, and write them."""
    lacking = [row for row in rows if row["augmented"] is None and row["split"] == "train"]
    # By phrase and language, all takes alike.
    chosen = [row for row in lacking if random.Random(f"augmented:{seed}:{key_of(row)[:2]}").random() < share]
    random.Random(seed).shuffle(chosen)  # stopped early, what is there is still a fair sample
    for first in range(0, len(chosen), CHUNK):
        part = {key_of(row): row for row in chosen[first : first + CHUNK]}
        worse = load_speech(work, augmented_share=1.0, seed=seed, wanted=part.__contains__)
        for spoken, codes in zip(worse, encode_corpus(codec, worse, device), strict=True):
            part[spoken.phrase, spoken.language, spoken.voice]["augmented"] = codes
        write_rows(rows, work / "codes.parquet")


def tokenise(work: Path, *, augmented_share: float, seed: int, device: str) -> None:
    """Encode what `work/speech` holds and `work/codes.parquet` does not."""
    codec = Xcodec2Model.from_pretrained(work / "codec", dtype=torch.float32).eval().to(device)
    codes_file = work / "codes.parquet"
    rows = pq.read_table(codes_file).to_pylist() if codes_file.exists() else []
    known = {key_of(row) for row in rows}
    clean = load_speech(work, augmented_share=0.0, seed=seed, wanted=lambda key: key not in known)
    for spoken, codes in zip(clean, encode_corpus(codec, clean, device), strict=True):
        texts = {field: getattr(spoken, field) for field in FIELDS} | {"phones": " ".join(spoken.phones)}
        rows.append(texts | {"codes": codes, "augmented": None})
    write_rows(rows, codes_file)
    add_augmented(codec, rows, work, augmented_share, seed, device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--augmented", type=float, default=0.3, help="share of utterances with an augmented copy")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    tokenise(a.work, augmented_share=a.augmented, seed=a.seed, device=a.device)


if __name__ == "__main__":
    main()
