"""Does the confidence of a transcript mean anything? Reliability in bins, and what the app's limit flags.

The limit in `stsmt.translator` is even odds; which one would flag enough is seen on dev sentences:
`python -m training.evaluate --sets dev dev_voice --n 60 --out report-dev`.
"""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import pairwise
from typing import Any

from stsmt import metrics
from stsmt.text import normalise_for_scoring
from stsmt.translator import CONFIDENCE_LIMIT
from training.measure import Record

EDGES = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 0.95, 1.0)
WANTED = 0.85  # of the wrong transcripts are to be flagged
Judged = list[tuple[float, bool]]  # confidence, fully right


def judged(records: Sequence[Record]) -> Judged:
    """Every transcript's confidence, and whether it is right but for case and punctuation."""
    found = []
    for record in records:
        part = record["parts"].get("stt", {})
        if part.get("confidence") is not None:
            said, heard = record["source_text"], part.get("transcript") or ""
            language = record["language"]
            right = normalise_for_scoring(said, language) == normalise_for_scoring(heard, language)
            found.append((float(part["confidence"]), right))
    return found


def calibration(records: Sequence[Record]) -> dict[str, Any] | None:
    """What the report says about confidence; None without transcripts.

    `bins` are rows {from, to, confidence, value, low, high, n}: mean confidence and share of right transcripts (in %,
    with its interval). `wrong_flagged` and `right_flagged` are shares below the app's `limit`; `limit_wanted` is the
    lowest limit, in hundredths, that flags `WANTED` of the wrong ones.
    """
    pairs = judged(records)
    if not pairs:
        return None
    return {
        "limit": CONFIDENCE_LIMIT,
        "limit_wanted": find_limit(pairs, WANTED),
        "wrong_flagged": _flagged(pairs, right=False),
        "right_flagged": _flagged(pairs, right=True),
        "bins": [row for low, high in pairwise(EDGES) if (row := _bin(pairs, low, high))],
    }


def find_limit(pairs: Judged, share: float) -> float | None:
    """The lowest limit, in hundredths, below which `share` of the wrong transcripts lie; None if none is wrong."""
    wrong = sorted(confidence for confidence, right in pairs if not right)
    limits = (hundredth / 100 for hundredth in range(101))
    return next((x for x in limits if wrong and sum(c < x for c in wrong) >= share * len(wrong)), None)


def _flagged(pairs: Judged, *, right: bool) -> dict[str, float] | None:
    flags = [confidence < CONFIDENCE_LIMIT for confidence, is_right in pairs if is_right == right]
    return _rounded(metrics.share(flags)) if flags else None


def _bin(pairs: Judged, low: float, high: float) -> dict[str, float] | None:
    inside = [(c, right) for c, right in pairs if low <= c < high or c == high == EDGES[-1]]
    if not inside:
        return None
    mean = sum(confidence for confidence, _ in inside) / len(inside)
    return {"from": low, "to": high, "confidence": round(mean, 4), **_rounded(metrics.share([r for _, r in inside]))}


def _rounded(estimate: metrics.Estimate) -> dict[str, float]:
    return {name: round(value, 3) for name, value in asdict(estimate).items()}
