"""When is each phone said? `python -m training.align --work runs/embedded` writes `cues.parquet` beside the codes.

A small convolutional network learns phones from codes by CTC with a blank that is never worth choosing (Badlani et al.
2021, "One TTS Alignment To Rule Them All"), so that the most probable monotonic path divides all frames among the
phones. It starts flat, as recognisers of hidden Markov models do: every phone equally long. It sees codes only, from
both sides, and is thrown away.

`cues` are the frames at which the language model is told the next phone (`stsmt.prompt`): the first at 0, then one at
the start of every phone; the last names the silence at the end.
"""

import argparse
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import Xcodec2Config

from stsmt.example import SILENCE, cue_name
from training.recogniser import ctc_loss, index_labels

KEY = ("phrase", "language", "voice")
HIDDEN, KERNEL, LAYERS = 192, 5, 4
BLANK_LOGIT = -1.0
RATE = 2e-3
FLAT_SHARE = 0.2  # of the steps
BATCH = 48


class Aligner(nn.Module):
    """Codes [B, T] → logits [B, T, 1 + labels]; the blank comes first."""

    def __init__(self, codes: int, labels: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(codes + 1, HIDDEN)  # the last one pads
        self.layers = nn.ModuleList(nn.Conv1d(HIDDEN, HIDDEN, KERNEL, padding="same") for _ in range(LAYERS))
        self.norms = nn.ModuleList(nn.LayerNorm(HIDDEN) for _ in range(LAYERS))
        self.head = nn.Linear(HIDDEN, labels)

    def forward(self, codes: Tensor) -> Tensor:
        hidden = self.embedding(codes)
        for convolve, norm in zip(self.layers, self.norms, strict=True):
            hidden = hidden + F.gelu(convolve(norm(hidden).transpose(1, 2)).transpose(1, 2))
        return F.pad(self.head(hidden), (1, 0), value=BLANK_LOGIT)


def spoken_labels(row: dict[str, Any]) -> list[str]:
    """The phones of an utterance between two silences."""
    return [SILENCE, *(cue_name(row["language"], phone) for phone in row["phones"].split()), SILENCE]


def pad_codes(rows: Sequence[dict[str, Any]], padding: int) -> tuple[Tensor, Tensor]:
    """(codes [B, T], mask [B, T])."""
    longest = max(len(row["codes"]) for row in rows)
    codes = torch.full((len(rows), longest), padding)
    for index, row in enumerate(rows):
        codes[index, : len(row["codes"])] = torch.as_tensor(row["codes"])
    return codes, codes != padding


def flat_loss(logits: Tensor, mask: Tensor, labels: Sequence[Sequence[int]]) -> Tensor:
    """Cross-entropy of logits [B, T, V] as if all labels of an utterance were equally long."""
    total = logits.new_zeros(())
    for row, length, said in zip(logits, mask.sum(1).tolist(), labels, strict=True):
        wanted = torch.tensor(said)[torch.arange(length) * len(said) // length]
        total = total + F.cross_entropy(row[:length], wanted)
    return total / len(labels)


def train_aligner(rows: Sequence[dict[str, Any]], codebook_size: int, steps: int, seed: int) -> tuple[Aligner, Any]:
    """An aligner trained on `rows`, and the index of its labels."""
    torch.manual_seed(seed)
    rng = random.Random(seed)
    names, index = index_labels(spoken_labels(row) for row in rows)
    model = Aligner(codebook_size, len(names) - 1)
    optimiser = torch.optim.AdamW(model.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    fitting = [row for row in rows if len(row["codes"]) > len(row["phones"].split()) + 2]
    with tqdm(range(steps), desc="aligner") as bar:
        for step in bar:
            batch = rng.choices(fitting, k=BATCH)
            codes, mask = pad_codes(batch, codebook_size)
            logits, labels = model(codes), [[index[name] for name in spoken_labels(row)] for row in batch]
            flat = step < FLAT_SHARE * steps
            loss = flat_loss(logits, mask, labels) if flat else ctc_loss(logits, mask, labels)
            optimiser.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimiser.step()
            schedule.step()
            bar.set_postfix({"flat" if flat else "ctc": round(loss.item(), 3)})
    return model.eval(), index


def best_path(scores: np.ndarray) -> list[int]:
    """First frame of every label on the best path through `scores` [frames, labels], each label at least one frame.

    Viterbi's algorithm; labels come in order and none is left out, so there must be as many frames as labels.
    """
    frames, labels = scores.shape
    best, moved = np.full(labels, -np.inf), np.zeros((frames, labels), bool)
    best[0] = scores[0, 0]
    for frame in range(1, frames):
        before = np.concatenate([[-np.inf], best[:-1]])
        moved[frame] = before > best
        best = np.maximum(best, before) + scores[frame]
    starts, label = [0] * labels, labels - 1
    for frame in range(frames - 1, 0, -1):
        if moved[frame, label]:
            starts[label], label = frame, label - 1
    return starts


@torch.inference_mode()
def find_cues(model: Aligner, index: dict[str, int], row: dict[str, Any]) -> list[int] | None:
    """Frames of the cues of an utterance; None if it has more phones than frames."""
    labels = [index[name] for name in spoken_labels(row)]
    if len(labels) > len(row["codes"]):
        return None
    scores = F.log_softmax(model(torch.as_tensor(row["codes"]).long()[None])[0], -1)[:, labels]
    return [0, *best_path(scores.numpy())[1:-1]]


def align(work: Path, *, steps: int, seed: int) -> None:
    """Train an aligner on `work/codes.parquet` and write `work/cues.parquet`."""
    columns = [*KEY, "phones", "codes"]
    rows = pq.read_table(work / "codes.parquet", columns=columns).to_pylist()
    levels = Xcodec2Config.from_pretrained(work / "codec").quantization_levels
    model, index = train_aligner(rows, int(np.prod(levels)), steps, seed)
    found = [
        {name: row[name] for name in KEY} | {"cues": find_cues(model, index, row)} for row in tqdm(rows, desc="cues")
    ]
    schema = pa.schema([*((name, pa.string()) for name in KEY), ("cues", pa.list_(pa.uint16()))])
    temporary = work / "cues.tmp"
    pq.write_table(pa.Table.from_pylist(found, schema=schema), temporary, compression="zstd")
    temporary.rename(work / "cues.parquet")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--steps", type=int, default=600)
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    align(a.work, steps=a.steps, seed=a.seed)


if __name__ == "__main__":
    main()
