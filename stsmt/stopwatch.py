"""Where the time of a streamed request goes."""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import perf_counter
from typing import TypeVar

T = TypeVar("T")


class Stopwatch:
    """Seconds per activity; an activity inside another one is charged to itself alone."""

    def __init__(self) -> None:
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._start = self._since = perf_counter()
        self._stack: list[str] = []

    @property
    def total(self) -> float:
        """Seconds since the start."""
        return perf_counter() - self._start

    @contextmanager
    def measure(self, activity: str) -> Iterator[None]:
        """Charge what happens inside to `activity`."""
        self._charge()
        self._stack.append(activity)
        try:
            yield
        finally:
            self._charge()
            self._stack.pop()

    def timed(self, activity: str, items: Iterable[T]) -> Iterator[T]:
        """Pass `items` on, charging the making of each, but not its use, to `activity`."""
        iterator, end = iter(items), object()
        while True:
            with self.measure(activity):
                item = next(iterator, end)
            if item is end:
                return
            yield item  # type: ignore[misc]

    def _charge(self) -> None:
        now = perf_counter()
        if self._stack:
            self.seconds[self._stack[-1]] += now - self._since
        self._since = now
