"""Time is charged to the innermost activity."""

from collections.abc import Iterator

import pytest

from stsmt import stopwatch
from stsmt.stopwatch import Stopwatch


def test_nested_and_lazy_activities_are_charged_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100

    def sleep(seconds: int) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr(stopwatch, "perf_counter", lambda: now)
    watch = Stopwatch()

    def numbers() -> Iterator[int]:
        for number in range(3):
            sleep(7)
            yield number

    def doubled(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            sleep(2)
            yield 2 * item

    for _ in watch.timed("outer", doubled(watch.timed("inner", numbers()))):
        sleep(50)  # the consumer's own time is nobody's
    assert watch.seconds == {"inner": 21, "outer": 6}
    assert watch.total == 177
