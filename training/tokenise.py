"""Encode the synthesised speech with the final codec: `python -m training.tokenise --work runs/embedded`.

Writes `work/codes.parquet`, one row per utterance: its text, voice and split, `codes` of the clean sound, and for a
seeded share of them `augmented`, codes of the sound as a bad microphone would give it (used as sources only). What is
in the file already stays: codes are final, and only what was added since is encoded (with a larger share than before:
the augmented copies that are missing). After `training.encoder`, `--again` encodes anew what is spoken here; codes
without speech (`training.export --restore`) stay.
Utterances of the same number of frames are encoded together: without padding, a batch gives what each would alone.
"""

import argparse
import multiprocessing
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import Xcodec2Model

from stsmt.errors import UserError, stated_errors
from training.codec import crop_waves
from training.recogniser import pad_features
from training.speech import Key, Spoken, key_of, list_shards, load_speech, read_list

FIELDS = ("phrase", "template", "language", "voice", "text", "split")
CPU_BATCH, BATCH = 2, 64  # on a CPU, the full-rate stages of a larger batch do not fit its cache: half as fast
CHUNK = 4000  # utterances of a process between two writes


def batches_of_equal_length(corpus: Sequence[Spoken], size: int) -> Iterator[list[int]]:
    """Indices into `corpus`, at most `size` together, all of the same number of frames."""
    by_frames: dict[int, list[int]] = defaultdict(list)
    for index, spoken in enumerate(corpus):
        by_frames[spoken.frames].append(index)
    for group in by_frames.values():
        yield from (group[i : i + size] for i in range(0, len(group), size))


@torch.inference_mode()
def encode_corpus(codec: Xcodec2Model, corpus: Sequence[Spoken], device: str) -> list[np.ndarray]:
    """Codes (uint16) of every utterance, in order."""
    codes: list[np.ndarray] = [np.zeros(0, np.uint16)] * len(corpus)
    hop = codec.hop_length
    with tqdm(total=len(corpus), desc="codes") as bar:
        for group in batches_of_equal_length(corpus, CPU_BATCH if device == "cpu" else BATCH):
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


@dataclass(frozen=True)
class Part:
    """Utterances of `work/speech` that one process encodes, clean or augmented."""

    work: Path
    keys: tuple[Key, ...]
    augmented: bool
    seed: int
    device: str
    alone: bool

    def encode(self) -> list[tuple[Key, dict[str, Any], np.ndarray]]:
        """(key, texts, codes) of every utterance."""
        if not self.alone:
            torch.set_num_threads(1)  # threads of several processes would wait for each other
        codec = Xcodec2Model.from_pretrained(self.work / "codec", dtype=torch.float32).eval().to(self.device)
        share, wanted = float(self.augmented), frozenset(self.keys).__contains__
        corpus = load_speech(self.work, augmented_share=share, seed=self.seed, wanted=wanted)
        made = encode_corpus(codec, corpus, self.device)
        return [((s.phrase, s.language, s.voice), _texts(s), codes) for s, codes in zip(corpus, made, strict=True)]


def _texts(spoken: Spoken) -> dict[str, Any]:
    return {field: getattr(spoken, field) for field in FIELDS} | {"phones": " ".join(spoken.phones)}


def encode_parts(
    work: Path, keys: Sequence[Key], *, augmented: bool, seed: int, device: str, processes: int
) -> Iterator[list[tuple[Key, dict[str, Any], np.ndarray]]]:
    """What `Part.encode` gives, `CHUNK` utterances at a time."""
    size = max(1, min(CHUNK, -(-len(keys) // processes)))
    chunks = [tuple(keys[i : i + size]) for i in range(0, len(keys), size)]
    parts = [Part(work, chunk, augmented, seed, device, processes == 1) for chunk in chunks]
    if processes == 1:
        yield from map(Part.encode, parts)
    else:
        with multiprocessing.get_context("spawn").Pool(processes) as pool:
            yield from pool.imap(Part.encode, parts)


def tokenise(
    work: Path, *, augmented_share: float, seed: int, device: str, processes: int = 1, again: bool = False
) -> None:
    """Encode what `work/speech` holds and `work/codes.parquet` does not (`again`: all that it holds), then augmented
    copies of a seeded share of the training utterances that are spoken there. What is done is kept if it is stopped.

    Raises:
        UserError: for less than one process.
    """
    if processes < 1:
        raise UserError(f"--processes must be at least 1, not {processes}.")
    file = work / "codes.parquet"
    encode = partial(encode_parts, work, seed=seed, device=device, processes=processes)
    rows = {key_of(row): row for row in (pq.read_table(file).to_pylist() if file.exists() else [])}
    spoken = dict.fromkeys(key_of(row) for shard in list_shards(work / "speech") for row in read_list(shard))
    if again:
        rows = {key: row for key, row in rows.items() if key not in spoken}
    for part in encode([key for key in spoken if key not in rows], augmented=False):
        rows |= {key: texts | {"codes": codes, "augmented": None} for key, texts, codes in part}
        write_rows([*rows.values()], file)
    lacking = [key for key in spoken if rows[key]["augmented"] is None and rows[key]["split"] == "train"]
    # By phrase and language, all takes alike.
    chosen = [key for key in lacking if random.Random(f"augmented:{seed}:{key[:2]}").random() < augmented_share]
    random.Random(seed).shuffle(chosen)  # stopped early, what is there is still a fair sample
    for part in encode(chosen, augmented=True):
        for key, _, codes in part:
            rows[key]["augmented"] = codes
        write_rows([*rows.values()], file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--augmented", type=float, default=0.3, help="share of utterances with an augmented copy")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--processes", type=int, default=1, help="how many at once; on a CPU, one per core")
    parser.add_argument("--again", action="store_true", help="encode all that is spoken, also what has codes")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    options = {"augmented_share": a.augmented, "seed": a.seed, "device": a.device, "processes": a.processes}
    with stated_errors():
        tokenise(a.work, **options, again=a.again)


if __name__ == "__main__":
    main()
