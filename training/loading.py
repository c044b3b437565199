"""Batches made in other processes while a GPU computes: drawing, rendering and packing are Python, and slow."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from typing import Any, Generic, Self, TypeVar

import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

T = TypeVar("T")
AHEAD = 4  # batches that every process has ready


class Batch:
    """For dataclasses: their tensors move together, whatever else they hold stays."""

    def _each(self, change: Callable[[Tensor], Tensor]) -> Self:
        values = {field.name: getattr(self, field.name) for field in fields(self)}  # type: ignore[arg-type]
        moved = {name: change(value) for name, value in values.items() if isinstance(value, Tensor)}
        return replace(self, **moved)  # type: ignore[type-var]

    def to(self, device: str) -> Self:
        return self._each(lambda tensor: tensor.to(device, non_blocking=True))

    def pin_memory(self) -> Self:
        return self._each(Tensor.pin_memory)


class _Drawn(IterableDataset, Generic[T]):
    def __init__(self, make: Callable[[int], Callable[[], T]]) -> None:
        self.make = make

    def __iter__(self) -> Iterator[T]:
        info = get_worker_info()
        draw = self.make(info.id if info else 0)
        while True:
            yield draw()


def _as_it_is(batch: Any) -> Any:
    return batch


def stream(make: Callable[[int], Callable[[], T]], processes: int) -> Iterator[T]:
    """Batches without end; `make(number)` gives what draws them in process `number`, in this one for 0 processes.

    Processes are forked, so that all share the corpus. A batch with a method `pin_memory` is pinned for the GPU.
    """
    ahead: dict[str, Any] = {"prefetch_factor": AHEAD, "multiprocessing_context": "fork"}
    options = ahead | {"pin_memory": torch.cuda.is_available()} if processes else {}
    drawn = _Drawn(make)
    return iter(DataLoader(drawn, batch_size=None, num_workers=processes, collate_fn=_as_it_is, **options))
