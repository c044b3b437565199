"""Whose answers count, whose do not, and of whom nothing is known yet."""

from pathlib import Path

import numpy as np
import pytest

from stsmt.listening.quality import Standing, pearson
from stsmt.listening.refill import refill
from tests.listening.corpus import Corpus, Stage, answer, whole

GOLDS = {f"p{i}": {"adequacy": 5 if i % 2 else 1, "naturalness": 5 if i % 2 else 1} for i in range(20, 26)}


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    pair_ids = [f"p{i}" for i in range(20)]
    return Stage(tmp_path / "ratings", corpus=Corpus(30)).open(
        pair_ids=pair_ids, golds=GOLDS, traps=5, gold_rate=0.2, trap_rate=0.1, overlap=9
    )


def listen(stage: Stage, rater: str, how: str) -> Standing:
    """A simulated rater: careful, blind (always the same key), random, or contrary."""
    random = np.random.default_rng(7)
    while (shown := stage.test.next(rater)) is not None:
        item = stage.item_of(shown)
        true = 5 if int(item.targets[0].pair_id[1:]) % 2 else 1
        true = 1 if item.kind == "trap" else true
        score = {"careful": true, "same": 3, "contrary": 6 - true, "random": int(random.integers(1, 6))}[how]
        stage.clock.wait(3)
        stage.test.submit(rater, shown.id, answer(shown, score), whole(shown))
    return stage.test.standing(rater)


def test_at_first_nothing_is_known(stage: Stage) -> None:
    found = stage.test.standing(stage.rater())
    assert found.state == "unknown"
    assert set(found.reasons) == {"gold", "trap", "variance", "pace", "correlation"}


def test_careful_raters_count(stage: Stage) -> None:
    for _ in range(2):
        found = listen(stage, stage.rater(), "careful")
        assert (found.state, found.reasons) == ("counts", ())


def test_reasons_against_a_rater_are_named(stage: Stage) -> None:
    listen(stage, stage.rater(), "careful")
    same = listen(stage, stage.rater(), "same")
    contrary = listen(stage, stage.rater(), "contrary")
    assert same.state == contrary.state == "excluded"
    assert {"gold", "trap", "variance"} <= set(same.reasons)
    assert {"gold", "correlation"} <= set(contrary.reasons)


def test_what_cannot_be_computed_is_unknown_and_not_held_against_anybody(stage: Stage) -> None:
    assert pearson([1, 1, 1], [1, 2, 3]) is None
    assert pearson([1], [1]) is None
    found = listen(stage, stage.rater(), "careful")
    correlation = next(measure for measure in found.measures if measure.name == "correlation")
    assert correlation.fine is None  # nobody else has rated yet
    assert found.state == "counts"


def test_places_of_answers_that_do_not_count_are_given_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=Corpus(10)).open(overlap=1)
    assert listen(stage, stage.rater(), "same").state == "excluded"
    late = stage.rater()
    assert stage.test.next(late) is None
    assert refill(tmp_path) == refill(tmp_path) == 10
    assert listen(stage, late, "careful").state != "excluded"
    assert len(stage.test.counted()) == 10
    assert refill(tmp_path) == 10 and stage.test.next(stage.rater()) is None


def test_training_is_not_held_against_anybody(tmp_path: Path) -> None:
    stage = Stage(tmp_path).open(trainings={"p0": {"adequacy": 5, "naturalness": 5}})
    rater = stage.rater()
    stage.rate(rater, score=1)
    assert all(measure.n == 0 for measure in stage.test.standing(rater).measures)
