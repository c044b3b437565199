"""Time is charged to the innermost activity."""

import time
from collections.abc import Iterator

import pytest

from stsmt.stopwatch import Stopwatch


def test_nested_and_lazy_activities_are_charged_once() -> None:
    watch = Stopwatch()

    def numbers() -> Iterator[int]:
        for number in range(3):
            time.sleep(0.02)
            yield number

    def doubled(items: Iterator[int]) -> Iterator[int]:
        for item in items:
            time.sleep(0.01)
            yield 2 * item

    for _ in watch.timed("outer", doubled(watch.timed("inner", numbers()))):
        time.sleep(0.05)  # the consumer's own time is nobody's
    assert watch.seconds["inner"] == pytest.approx(0.06, rel=0.6)
    assert watch.seconds["outer"] == pytest.approx(0.03, rel=0.6)
    assert watch.total > 0.2
