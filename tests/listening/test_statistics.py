"""Numbers against published ones and against independent computations."""

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from stsmt.listening.statistics import (
    Observation,
    Outcome,
    bradley_terry,
    cluster_mean,
    mean,
    normalised,
    ordinal_alpha,
    rater_offsets,
)

# Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), section E: four observers, twelve units.
KRIPPENDORFF = [
    "1 2 3 3 2 1 4 1 2 . . .",
    "1 2 3 3 2 2 4 1 2 5 . 3",
    ". 3 3 3 2 3 4 2 2 5 1 .",
    "1 2 3 3 2 4 4 1 2 5 1 .",
]
# Agresti, Categorical Data Analysis (2nd ed., 2002), section 10.6: wins of row over column, American League 1987.
TEAMS = ["Milwaukee", "Detroit", "Toronto", "New-York", "Boston", "Cleveland", "Baltimore"]
WINS = """\
 0  7  9  7  7  9 11
 6  0  7  5 11  9  9
 4  6  0  7  7  8 12
 6  8  6  0  6  7 10
 6  2  6  7  0  7 12
 4  4  5  6  6  0  6
 2  4  1  3  1  7  0"""
STRENGTHS = [1.58, 1.44, 1.29, 1.25, 1.11, 0.68, 0.0]


def observations(rows: Sequence[str]) -> list[Observation]:
    return [
        Observation(rater, item, float(score))
        for rater, row in enumerate(rows)
        for item, score in enumerate(row.split())
        if score != "."
    ]


# -- means -----------------------------------------------------------------------------------------------------------


def test_below_three_ratings_there_is_no_interval() -> None:
    assert not mean([5]).enough
    assert not mean([1, 5]).enough
    assert mean([1, 5, 3]).enough
    assert mean([1, 5]).to_json() == {"value": 3.0, "low": None, "high": None, "n": 2, "enough": False}


@pytest.mark.parametrize(("n", "half"), [(3, 2.48), (5, 1.24), (8, 0.84), (10, 0.72), (20, 0.47), (30, 0.37)])
def test_the_interval_is_as_wide_as_the_table_of_student_says(n: int, half: float) -> None:
    scores = np.random.default_rng(n).normal(size=n)
    scores = (scores - scores.mean()) / scores.std(ddof=1)
    found = mean(list(scores))
    assert found.high == pytest.approx(half, abs=0.005)


@given(st.lists(st.integers(1, 5), min_size=3, max_size=40).filter(lambda scores: len(set(scores)) > 1))
def test_the_interval_is_that_of_scipy(scores: list[int]) -> None:
    low, high = stats.t.interval(0.95, len(scores) - 1, np.mean(scores), stats.sem(scores))
    found = mean(scores)
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


def test_a_cluster_interval_is_wider_where_raters_differ() -> None:
    """Twenty ratings of five raters with their own levels hold less than twenty independent ones."""
    levels = {0: 1.5, 1: 2.5, 2: 3.0, 3: 4.0, 4: 4.8}
    found = [Observation(r, i, level) for r, level in levels.items() for i in range(20)]
    plain, clustered = mean([o.score for o in found]), cluster_mean(found)
    assert clustered.low is not None and clustered.high is not None and plain.low is not None and plain.high is not None
    assert clustered.high - clustered.low > 2.5 * (plain.high - plain.low)
    assert not cluster_mean(found[:40]).enough


def test_the_cluster_bootstrap_covers_the_truth() -> None:
    """Simulated: 10 raters × 12 items with rater, item and residual variance; 95 % intervals should hold it often."""
    random, hits = np.random.default_rng(1), 0
    for _ in range(60):
        raters, items = random.normal(0, 0.6, 10), random.normal(0, 0.5, 12)
        scores = 3 + raters[:, None] + items + random.normal(0, 0.5, (10, 12))
        found = cluster_mean([Observation(r, i, scores[r, i]) for r in range(10) for i in range(12)])
        assert found.low is not None and found.high is not None
        hits += found.low <= 3 <= found.high
    assert hits >= 52


def test_offsets_of_raters_are_found_although_they_heard_different_items() -> None:
    random = np.random.default_rng(0)
    levels, strictness = random.uniform(1.5, 4.5, 60), [-1.0, 0.0, 1.0]
    found = [
        Observation(r, i, levels[i] + strictness[r] + random.normal(0, 0.2))
        for i in range(60)
        for r in range(3)
        if (i + r) % 3
    ]
    assert list(rater_offsets(found).values()) == pytest.approx(_by_order(found, strictness), abs=0.15)
    fair: dict[object, list[float]] = {}
    for o in normalised(found):
        fair.setdefault(o.item, []).append(o.score)
    assert np.mean([np.ptp(scores) for scores in fair.values()]) < 0.5


def _by_order(found: list[Observation], values: list[float]) -> list[float]:
    return [values[rater] for rater in dict.fromkeys(o.rater for o in found)]  # type: ignore[index, misc]


# -- agreement -------------------------------------------------------------------------------------------------------


def test_alpha_is_the_one_that_krippendorff_published() -> None:
    assert ordinal_alpha(observations(KRIPPENDORFF)) == pytest.approx(0.815, abs=0.0005)


def test_alpha_is_unknown_where_nothing_was_rated_twice_or_all_is_equal() -> None:
    assert ordinal_alpha(observations(["1 . 3", ". 2 ."])) is None
    assert ordinal_alpha(observations(["3 3 3", "3 3 3"])) is None
    assert ordinal_alpha([]) is None


# -- comparisons -----------------------------------------------------------------------------------------------------


def season() -> list[Outcome]:
    table = [[int(n) for n in line.split()] for line in WINS.splitlines()]
    games = itertools.permutations(range(len(TEAMS)), 2)
    return [
        Outcome(f"game {i}-{j}-{k}", f"game {i}-{j}-{k}", TEAMS[i], TEAMS[j], 1.0)
        for i, j in games
        for k in range(table[i][j])
    ]


def test_strengths_are_those_that_agresti_published() -> None:
    found = bradley_terry(season(), ridge=0.0)
    base = found["Baltimore"].value
    assert [found[team].value - base for team in TEAMS] == pytest.approx(STRENGTHS, abs=0.006)
    for strength in found.values():
        assert strength.low is not None and strength.high is not None
        assert strength.low < strength.value < strength.high


def test_order_and_side_change_nothing() -> None:
    games = season()
    turned = [Outcome(o.rater, o.item, o.second, o.first, 1 - o.score) for o in reversed(games)]
    one, two = bradley_terry(games), bradley_terry(turned)
    assert [one[t].value for t in TEAMS] == pytest.approx([two[t].value for t in TEAMS], abs=1e-4)


def test_who_never_lost_is_far_ahead_but_finite() -> None:
    games = [Outcome(i, i, "a", "b", 1.0) for i in range(10)]
    found = bradley_terry(games)
    assert 1 < found["a"].value - found["b"].value < 20
    ties = bradley_terry([Outcome(i, i, "a", "b", 0.5) for i in range(10)])
    assert ties["a"].value == pytest.approx(ties["b"].value, abs=1e-6)
    assert bradley_terry([]) == {}
    assert not bradley_terry(games[:2])["a"].enough
