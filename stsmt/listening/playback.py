"""Was it heard? The ranges that a player reports, checked and added up.

The page reports them, so a program can claim anything: that enough time has passed since the item was served is
checked as well, by the server's own clock.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from stsmt.errors import UserError

SHARE = 0.9  # of each clip, and of the time that hearing all of them takes
SLACK_SECONDS = 0.25  # a browser's idea of a duration differs a little from ours
MAX_RANGES = 1000

Range = tuple[float, float]
Ranges = Mapping[str, Sequence[Range]]


def read_ranges(value: Any, seconds: Mapping[str, float]) -> dict[str, list[Range]]:
    """Check what a page or a program reports: `{clip: [[start, stop], …]}` in seconds.

    Raises:
        UserError: if it has another shape, names an unknown clip or leaves a clip's duration.
    """
    if not isinstance(value, Mapping):
        raise UserError("What was played must be given as {clip: [[start, stop], …]} in seconds.")
    unknown = set(value) - set(seconds)
    if unknown:
        raise UserError(f"There is no clip {sorted(map(str, unknown))[0]!r} in this item.")
    return {clip: _checked(ranges, seconds[clip]) for clip, ranges in value.items()}


def _checked(ranges: Any, duration: float) -> list[Range]:
    if not isinstance(ranges, Sequence) or isinstance(ranges, str) or len(ranges) > MAX_RANGES:
        raise UserError(f"What was played must be at most {MAX_RANGES} pairs of start and stop.")
    try:
        pairs = [(float(start), float(stop)) for start, stop in ranges]
    except (TypeError, ValueError):
        raise UserError("What was played must be pairs of start and stop in seconds.") from None
    for start, stop in pairs:
        if not (math.isfinite(start) and math.isfinite(stop) and 0 <= start <= stop <= duration + SLACK_SECONDS):
            raise UserError("What was played must lie within the clip.")
    return union(pairs)


def union(ranges: Iterable[Range]) -> list[Range]:
    """The same time, each moment once."""
    merged: list[Range] = []
    for start, stop in sorted(ranges):
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(merged[-1][1], stop))
        else:
            merged.append((start, stop))
    return merged


def joined(one: Ranges, other: Ranges) -> dict[str, list[Range]]:
    """What was played in either of two reports."""
    return {clip: union([*one.get(clip, ()), *other.get(clip, ())]) for clip in {*one, *other}}


def share(ranges: Sequence[Range], duration: float) -> float:
    """The share of a clip that was heard, 0..1."""
    heard = sum(min(stop, duration) - min(start, duration) for start, stop in union(ranges))
    return min(1.0, heard / duration) if duration > 0 else 1.0


def check_heard(ranges: Ranges, seconds: Mapping[str, float], waited: float) -> None:
    """Refuse an answer to what was not heard; `waited` is the time in seconds since the item was served.

    Raises:
        UserError: if less than `SHARE` of a clip was played, or less time has passed than that takes.
    """
    for clip, duration in seconds.items():
        heard = share(ranges.get(clip, ()), duration)
        if heard < SHARE:
            raise UserError(f"Please listen to the whole clip first ({clip}: {100 * heard:.0f} % heard).")
    if waited < SHARE * sum(seconds.values()):
        raise UserError("That was faster than the clips can be heard; please listen to them first.")
