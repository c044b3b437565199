"""Batches made in other processes while a GPU computes: drawing, rendering and packing are Python, and slow."""

from collections.abc import Callable, Iterator
from typing import Any, Generic, TypeVar

import torch
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

T = TypeVar("T")
AHEAD = 4  # batches that every process has ready


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
