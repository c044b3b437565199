"""Several processes train one model: `torchrun --nproc-per-node 2 -m training.sft …` (one core or one GPU each).

Every process draws its own batches; gradients are averaged, so that all hold the same weights. The first one keeps the
time, the log and the checkpoints. Without `torchrun` nothing here does anything.
"""

import os
from collections.abc import Callable, Iterable
from typing import TypeVar

import torch
from torch import distributed as dist
from torch import nn

T = TypeVar("T")


def join(device: str) -> int:
    """Enter the group that `torchrun` started, if it did; returns the number of this process, 0 for the first."""
    if int(os.environ.get("WORLD_SIZE", "1")) > 1 and not dist.is_initialized():
        if device == "cuda":
            torch.cuda.set_device(int(os.environ["LOCAL_RANK"]))
        dist.init_process_group("nccl" if device == "cuda" else "gloo")
    return dist.get_rank() if dist.is_initialized() else 0


def in_turn(make: Callable[[], T]) -> T:
    """What `make` gives, called in the first process before the others: they find the files that it has written."""
    first = not dist.is_initialized() or dist.get_rank() == 0
    made = make() if first else None
    if dist.is_initialized():
        dist.barrier()
    return make() if made is None else made


def average_gradients(parameters: Iterable[nn.Parameter]) -> None:
    """Replace every gradient by its mean over the processes."""
    if not dist.is_initialized():
        return
    gradients = [p.grad for p in parameters if p.grad is not None]
    flat = torch.cat([gradient.flatten() for gradient in gradients])
    dist.all_reduce(flat)
    flat /= dist.get_world_size()
    for gradient, mean in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        gradient.copy_(mean.view_as(gradient))


def agree(value: float) -> float:
    """The first process's `value`, in all of them."""
    if not dist.is_initialized():
        return value
    said = [value]
    dist.broadcast_object_list(said)
    return said[0]
