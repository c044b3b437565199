"""Do a rater's answers count? Rules on gold items, traps, variance, speed and agreement with the others.

Three states are kept apart: they count, they do not (with the reasons), or too little is known yet. What cannot be
computed (a correlation with someone who gave one score only, say) is unknown and never counts against anybody.
Rules after ITU-T P.808 and its reference implementation (github.com/microsoft/P.808).
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from stsmt.listening.items import KNOWN_KINDS
from stsmt.listening.raters import Rater
from stsmt.listening.state import Rating

MIN_GOLDS = 2
GOLD_SHARE = 0.7  # of gold items within one step
MIN_TRAPS = 1
TRAP_SHARE = 0.5
MIN_RATINGS = 8  # before variance, speed and correlation say anything
MIN_VARIANCE = 0.1
MIN_PACE = 0.95  # median of time taken / length of the sound: people also need a moment to think
MIN_CORRELATION = 0.1

Value = float | None


@dataclass(frozen=True)
class Measure:
    """One rule's number, from `n` answers, and what it says: True fine, False against, None unknown."""

    name: str
    value: Value
    n: int
    fine: bool | None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


@dataclass(frozen=True)
class Standing:
    """Whether answers count; `reasons` are the names of the measures against it, or of those still unknown."""

    state: Literal["counts", "excluded", "unknown"]
    reasons: tuple[str, ...]
    measures: tuple[Measure, ...]

    def to_json(self) -> dict[str, Any]:
        measures = [measure.to_json() for measure in self.measures]
        return {"state": self.state, "reasons": list(self.reasons), "measures": measures}

    def to_rater(self) -> dict[str, Any]:
        """What the rater may know: numbers and what is still unknown would tell which items were gold or traps."""
        return {"state": self.state, "reasons": list(self.reasons) if self.state == "excluded" else []}


def standing(rater: Rater, ratings: Sequence[Rating]) -> Standing:
    """The standing of one rater among all `ratings`: any measure against excludes, gold or agreement includes."""
    own = [rating for rating in ratings if rating.rater == rater.id and rating.item.kind != "training"]
    measures = (
        passed("gold", own, MIN_GOLDS, GOLD_SHARE),
        passed("trap", own, MIN_TRAPS, TRAP_SHARE),
        variance(own),
        pace(own),
        correlation(rater.id, ratings),
    )
    against = tuple(measure.name for measure in measures if measure.fine is False)
    if against:
        return Standing("excluded", against, measures)
    if any(measure.fine for measure in measures if measure.name in ("gold", "trap", "correlation")):
        return Standing("counts", (), measures)
    return Standing("unknown", tuple(measure.name for measure in measures if measure.fine is None), measures)


def standings(raters: Iterable[Rater], ratings: Sequence[Rating]) -> dict[str, Standing]:
    """The standing of each rater, by id."""
    of_rater: dict[str, list[Rating]] = {}
    of_item: dict[tuple[str, str], list[Rating]] = {}
    for rating in ratings:
        of_rater.setdefault(rating.rater, []).append(rating)
        of_item.setdefault((rating.plan, rating.item.id), []).append(rating)

    def beside(rater: Rater) -> list[Rating]:
        """All that is needed to judge one: the answers of everybody to the items that this rater has answered."""
        keys = sorted({(rating.plan, rating.item.id) for rating in of_rater.get(rater.id, ())})
        return [rating for key in keys for rating in of_item[key]]

    return {rater.id: standing(rater, beside(rater)) for rater in raters}


def passed(kind: str, own: Sequence[Rating], enough: int, wanted: float) -> Measure:
    """The share of known items whose every asked score lies in the expected range."""
    flags = [_right(rating) for rating in own if rating.item.kind == kind]
    value = sum(flags) / len(flags) if flags else None
    return Measure(kind, value, len(flags), value >= wanted if value is not None and len(flags) >= enough else None)


def _right(rating: Rating) -> bool:
    judged = {name: rating.item.expected[name] for name in rating.scores if name in rating.item.expected}
    return all(low <= rating.scores[name] <= high for name, (low, high) in judged.items())


def variance(own: Sequence[Rating]) -> Measure:
    """Of all scores (ddof 1): who always presses the same key is not listening. Choices alone have none."""
    scores = [score for rating in own for score in rating.scores.values()]
    value = float(np.var(scores, ddof=1)) if len(scores) > 1 else None
    return Measure("variance", value, len(scores), _judged(value, len(scores), MIN_VARIANCE))


def pace(own: Sequence[Rating]) -> Measure:
    """The median of time taken per second of sound."""
    paces = [rating.took / rating.seconds for rating in own if rating.seconds > 0]
    value = float(np.median(paces)) if paces else None
    return Measure("pace", value, len(paces), _judged(value, len(paces), MIN_PACE))


def correlation(rater: str, ratings: Sequence[Rating]) -> Measure:
    """Pearson's r of the rater's scores with the means of the others on the same items (leave one out).

    All questions together, each centred on the others' mean of that question, so that an easy question and a hard one
    do not look like agreement.
    """
    others: dict[tuple[str, str, str], list[int]] = {}
    own: dict[tuple[str, str, str], int] = {}
    for rating in ratings:
        if rating.item.kind in KNOWN_KINDS:
            continue
        for name, score in rating.scores.items():
            if rating.rater == rater:
                own[(rating.plan, rating.item.id, name)] = score
            else:
                others.setdefault((rating.plan, rating.item.id, name), []).append(score)
    shared = sorted(own.keys() & others.keys())
    mine, theirs = ([], []) if not shared else _centred([(key[2], own[key], np.mean(others[key])) for key in shared])
    value = pearson(mine, theirs)
    return Measure("correlation", value, len(shared), _judged(value, len(shared), MIN_CORRELATION))


def _centred(rows: Sequence[tuple[str, float, Any]]) -> tuple[list[float], list[float]]:
    names = {name for name, _, _ in rows}
    means = {n: np.mean([(mine, theirs) for name, mine, theirs in rows if name == n], axis=0) for n in names}
    mine = [float(mine - means[name][0]) for name, mine, _ in rows]
    theirs = [float(theirs - means[name][1]) for name, _, theirs in rows]
    return mine, theirs


def pearson(xs: Sequence[float], ys: Sequence[float]) -> Value:
    """The correlation, or None where it is not defined."""
    if len(xs) < 2 or np.ptp(xs) < 1e-9 or np.ptp(ys) < 1e-9:
        return None
    return float(np.corrcoef(xs, ys)[0, 1])


def _judged(value: Value, n: int, wanted: float) -> bool | None:
    return value >= wanted if value is not None and n >= MIN_RATINGS else None
