"""Encode the synthesised speech with the final codec: `python -m training.tokenise --work runs/embedded`.

Writes `work/codes.parquet`, one row per utterance: its text, voice and split, `codes` of the clean sound, and for a
seeded share of them `augmented`, codes of the sound as a bad microphone would give it (used as sources only). What is
in the file already stays: codes are final, and only utterances that were added since are encoded.
Utterances of the same number of frames are encoded together: without padding, a batch gives what each would alone.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import Xcodec2Model

from training.augment import augment
from training.codec import crop_waves
from training.recogniser import pad_features
from training.speech import SAMPLE_RATE, Spoken, load_speech, semantic_features

FIELDS = ("phrase", "template", "language", "voice", "text", "split")
BATCH = 16


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


def worsen(spoken: Spoken, seed: int) -> Spoken:
    """The utterance as a bad microphone would give it."""
    rng = random.Random(f"augmented:{seed}:{spoken.phrase}:{spoken.language}")
    changed = augment(spoken.samples / 32768.0, rng, SAMPLE_RATE)
    samples = np.round(changed * 32767).astype(np.int16)
    return replace(spoken, samples=samples, features=semantic_features(samples.astype(np.float32) / 32768.0))


def tokenise(work: Path, *, augmented_share: float, seed: int, device: str) -> None:
    """Encode what `work/speech` holds and `work/codes.parquet` does not."""
    codec = Xcodec2Model.from_pretrained(work / "codec", dtype=torch.float32).eval().to(device)
    codes_file = work / "codes.parquet"
    earlier = pq.read_table(codes_file).to_pylist() if codes_file.exists() else []
    known = {(row["phrase"], row["language"]) for row in earlier}
    clean = load_speech(work, augmented_share=0.0, seed=seed, known=known)
    chosen = random.Random(seed).sample(range(len(clean)), round(augmented_share * len(clean)))
    worse = dict(zip(chosen, encode_corpus(codec, [worsen(clean[i], seed) for i in chosen], device), strict=True))
    rows = earlier + [
        {field: getattr(spoken, field) for field in FIELDS}
        | {"phones": " ".join(spoken.phones), "codes": codes, "augmented": worse.get(index)}
        for index, (spoken, codes) in enumerate(zip(clean, encode_corpus(codec, clean, device), strict=True))
    ]
    kind = pa.list_(pa.uint16())
    texts = ((field, pa.string()) for field in (*FIELDS, "phones"))
    schema = pa.schema([*texts, ("codes", kind), ("augmented", kind)])
    temporary = work / "codes.tmp"
    pq.write_table(pa.Table.from_pylist(rows, schema=schema), temporary, compression="zstd")
    temporary.rename(codes_file)


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
