"""What scores and choices say, with honest intervals: pure functions on numbers.

Means of few ratings get Student's t (the normal distribution is far too narrow at n = 5), and no interval at all below
three. Ratings of one rater, or of one item, are not independent, so that a cluster bootstrap over both stands beside it
(the "pigeonhole" bootstrap: Owen, Annals of Applied Statistics 1 (2007), 386-411; why it matters for listening tests:
Finkelstein et al., Interspeech 2023).
"""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import krippendorff
import numpy as np
from numpy.typing import NDArray
from scipy import optimize, special

CONFIDENCE = 0.95
MIN_N = 3
DRAWS = 1000
SHRINK = 2.0  # an offset estimated from this many ratings is believed by half
RIDGE = 0.01  # keeps the strength of who never lost finite: a normal prior with a deviation of 10 logits

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Observation:
    """One score of one rater on one item; 1..5."""

    rater: Hashable
    item: Hashable
    score: float


@dataclass(frozen=True)
class Outcome:
    """One comparison: `score` is 1 where `first` won, 0 where `second` did, 0.5 for a tie."""

    rater: Hashable
    item: Hashable
    first: str
    second: str
    score: float


@dataclass(frozen=True)
class Interval:
    """A number and its 95 % interval; no interval where there is not enough to tell."""

    value: float
    low: float | None
    high: float | None
    n: int

    @property
    def enough(self) -> bool:
        return self.low is not None

    def to_json(self) -> dict[str, Any]:
        return {**{name: _rounded(value) for name, value in vars(self).items()}, "enough": self.enough}


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def mean(scores: Sequence[float]) -> Interval:
    """The mean (MOS of ITU-T P.800.1) with Student's t interval, which needs at least three scores.

    Raises:
        ValueError: without any score.
    """
    if not len(scores):
        raise ValueError("a mean needs at least one score")
    value, n = float(np.mean(scores)), len(scores)
    if n < MIN_N:
        return Interval(value, None, None, n)
    half = float(special.stdtrit(n - 1, (1 + CONFIDENCE) / 2) * np.std(scores, ddof=1) / np.sqrt(n))
    return Interval(value, value - half, value + half, n)


# -- ratings ---------------------------------------------------------------------------------------------------------


def cluster_mean(observations: Sequence[Observation], seed: int = 0) -> Interval:
    """The mean with a bootstrap interval that draws raters and items; it needs at least three of each."""
    scores = np.array([o.score for o in observations], np.float64)
    weights = cluster_weights([o.rater for o in observations], [o.item for o in observations], seed)
    value, n = float(scores.mean()), len(scores)
    if weights is None:
        return Interval(value, None, None, n)
    low, high = np.percentile(weights @ scores / weights.sum(axis=1), (2.5, 97.5))
    return Interval(value, float(low), float(high), n)


def cluster_weights(raters: Sequence[Hashable], items: Sequence[Hashable], seed: int = 0) -> Floats | None:
    """How often each observation is in each draw [draws, n], when raters and items are drawn with replacement.

    None with fewer than three raters or items, of whom a draw would say nothing.
    """
    rater_ids, rater_count = _numbered(raters)
    item_ids, item_count = _numbered(items)
    if min(rater_count, item_count) < MIN_N:
        return None
    random = np.random.default_rng(seed)
    by_rater, by_item = (
        random.multinomial(count, np.full(count, 1 / count), size=DRAWS) for count in (rater_count, item_count)
    )
    weights = (by_rater[:, rater_ids] * by_item[:, item_ids]).astype(np.float64)
    return weights[weights.sum(axis=1) > 0]  # a draw can miss everything that there is


def _numbered(labels: Sequence[Hashable]) -> tuple[NDArray[np.intp], int]:
    numbers: dict[Hashable, int] = {}
    ids = np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.intp)
    return ids, len(numbers)


def rater_offsets(observations: Sequence[Observation], rounds: int = 100) -> dict[Hashable, float]:
    """By how much each rater scores above (or below) the others on the same items, in steps of the scale.

    The additive model score = item + rater + noise by alternating least squares; an offset from few ratings is shrunk
    towards 0. Subtract it to compare what different raters have heard (Rosenberg & Ramabhadran, Interspeech 2017).
    """
    if not observations:
        return {}
    scores = np.array([o.score for o in observations], np.float64)
    raters, rater_count = _numbered([o.rater for o in observations])
    items, item_count = _numbered([o.item for o in observations])
    offsets = np.zeros(rater_count)
    for _ in range(rounds):
        levels = _group_sums(scores - offsets[raters], items, item_count) / np.bincount(items)
        counts = np.bincount(raters)
        offsets = _group_sums(scores - levels[items], raters, rater_count) / (counts + SHRINK)
        offsets -= offsets.mean()
    return dict(zip(dict.fromkeys(o.rater for o in observations), map(float, offsets), strict=True))


def _group_sums(values: Floats, groups: NDArray[np.intp], count: int) -> Floats:
    return np.asarray(np.bincount(groups, weights=values, minlength=count), np.float64)


def normalised(observations: Sequence[Observation]) -> list[Observation]:
    """The same with the raters' offsets subtracted; such scores may leave the scale."""
    offsets = rater_offsets(observations)
    return [Observation(o.rater, o.item, o.score - offsets[o.rater]) for o in observations]


def ordinal_alpha(observations: Sequence[Observation]) -> float | None:
    """Krippendorff's alpha for ordinal scores with missing ones; None where nothing was rated twice or all is equal."""
    raters, rater_count = _numbered([o.rater for o in observations])
    items, item_count = _numbered([o.item for o in observations])
    table = np.full((rater_count, item_count), np.nan)
    table[raters, items] = [o.score for o in observations]
    shared = table[:, np.sum(~np.isnan(table), axis=0) > 1] if table.size else table
    if not shared.size or len(np.unique(shared[~np.isnan(shared)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=shared, level_of_measurement="ordinal"))


# -- comparisons -----------------------------------------------------------------------------------------------------


def bradley_terry(outcomes: Sequence[Outcome], seed: int = 0, ridge: float = RIDGE) -> dict[str, Interval]:
    """Log-strength of each condition (natural units, mean 0), a tie being half a win for both.

    P(first beats second) = 1 / (1 + exp(strength of second − strength of first)): Bradley & Terry, Biometrika 39
    (1952), 324-345. Intervals from the cluster bootstrap over raters and items.
    """
    if not outcomes:
        return {}
    names = sorted({name for o in outcomes for name in (o.first, o.second)})
    place = {name: i for i, name in enumerate(names)}
    pairs = np.array([(place[o.first], place[o.second]) for o in outcomes], np.intp).reshape(-1, 2)
    scores = np.array([o.score for o in outcomes], np.float64)
    fit = _fitter(pairs, scores, len(names), ridge)
    strengths = fit(np.ones(len(scores)))
    weights = cluster_weights([o.rater for o in outcomes], [o.item for o in outcomes], seed)
    games = np.bincount(pairs.ravel(), minlength=len(names))
    if weights is None:
        return {name: Interval(float(strengths[i]), None, None, int(games[i])) for name, i in place.items()}
    low, high = np.percentile([fit(drawn) for drawn in weights[: DRAWS // 5]], (2.5, 97.5), axis=0)
    return {n: Interval(float(strengths[i]), float(low[i]), float(high[i]), int(games[i])) for n, i in place.items()}


def _fitter(pairs: NDArray[np.intp], scores: Floats, count: int, ridge: float) -> Callable[[Floats], Floats]:
    """A function from the weights of the outcomes to the strengths that explain them best."""
    first, second = pairs.T

    def loss(strengths: Floats, wins: Floats, losses: Floats) -> tuple[float, Floats]:
        difference = strengths[first] - strengths[second]
        value = wins @ np.logaddexp(0, -difference) + losses @ np.logaddexp(0, difference)
        slope = (wins + losses) / (1 + np.exp(-difference)) - wins
        gradient = np.bincount(first, slope, count) - np.bincount(second, slope, count)
        return float(value + ridge * strengths @ strengths / 2), gradient + ridge * strengths

    def fit(weights: Floats) -> Floats:
        arguments = (weights * scores, weights * (1 - scores))
        found = optimize.minimize(loss, np.zeros(count), arguments, jac=True, method="L-BFGS-B", tol=1e-10)
        return np.asarray(found.x - found.x.mean(), np.float64)

    return fit
