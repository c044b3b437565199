"""Which phone a frame of sound holds, and a small head that names it from what a recogniser hears there."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from stsmt.example import SILENCE, cue_name
from training.pack import IGNORE

WIDTH, CONTEXT = 192, 7  # of the head's middle, and frames that it looks at


class PhoneHead(nn.Module):
    """Hidden states [B, F, width] → logits [B, F, labels], with a few frames around each."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.around = nn.Conv1d(width, WIDTH, CONTEXT, padding=CONTEXT // 2)
        self.head = nn.Linear(WIDTH, labels)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.head(F.gelu(self.around(hidden.transpose(1, 2))).transpose(1, 2))


def phone_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of [B, F, V], a mean over the frames whose phone is known; 0 where none is."""
    total = F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE, reduction="sum")
    return total / (labels != IGNORE).sum().clamp(min=1)


def label_row(row: Mapping[str, Any], frames: int, index: dict[str, int]) -> Tensor:
    """Labels [frames] of a row of `training.pack.read_aligned`, `IGNORE` where its phones are not known; names that
    `index` lacks are added to it.

    An augmented copy may be faster or slower than the codes of the row: its phones are as long in proportion.
    """
    labels = torch.full((frames,), IGNORE)
    if row["cues"] is None:
        return labels
    names = [*(cue_name(row["language"], phone) for phone in row["phones"].split()), SILENCE]
    stretch = frames / len(row["codes"])
    starts = [*(round(cue * stretch) for cue in row["cues"]), frames]
    for name, start, stop in zip(names, starts[:-1], starts[1:], strict=True):
        labels[start:stop] = index.setdefault(name, len(index))
    return labels
