"""What once went wrong: unplayable pairs, new rounds, known items that gave themselves away, flags that got lost."""

import csv
import io
from pathlib import Path

import pytest

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.listening.events import Event, EventLog, read_events
from stsmt.listening.exchange import as_csv, rows
from stsmt.listening.items import Side
from stsmt.listening.plan import planted_golds
from stsmt.listening.summary import read_summary
from tests.listening.corpus import Corpus, Stage, answer, whole


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "ratings")


class Silent(Corpus):
    def audio(self, pair_id: str, side: Side) -> Audio:
        if pair_id == "p1":
            raise UserError("A pair without sound cannot be rated.")
        return super().audio(pair_id, side)


def test_a_pair_that_cannot_be_played_is_set_aside_and_the_test_goes_on(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=Silent(4)).open()
    assert [stage.rate_all(stage.rater()) for _ in range(3)] == [3, 3, 3]
    kept = [event for event in read_events(stage.folder)[0] if event.kind == "unplayable"]
    assert [event.data["item"] for event in kept] == ["rating:p1"]


def test_an_item_of_the_last_round_is_not_rated_too_often_in_the_next(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], overlap=1, lease_seconds=100.0)
    one, two = stage.rater(), stage.rater()
    late = stage.served(one)
    stage.clock.wait(101)
    stage.rate(two)
    stage.open(pair_ids=["p1"], overlap=1, name="round-2")
    with pytest.raises(UserError, match="waited too long"):
        stage.test.submit(one, late.id, answer(late), whole(late))
    assert stage.item_of(stage.served(one)).id == "rating:p1"


def test_what_is_left_falls_by_one_with_every_item_of_any_kind(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=Corpus(30))
    golds = {f"p{i}": {"adequacy": 5} for i in range(20, 28)}
    stage.open(pair_ids=[f"p{i}" for i in range(20)], golds=golds, traps=5, gold_rate=0.2, trap_rate=0.2)
    rater, kinds = stage.rater(), set()
    seen = [stage.test.progress(rater).left]
    while (shown := stage.test.next(rater)) is not None:
        kinds.add(stage.item_of(shown).kind)
        stage.rate(rater, shown)
        seen.append(stage.test.progress(rater).left)
    assert kinds == {"rating", "gold", "trap"}
    assert seen == list(range(len(seen) - 1, -1, -1))


def test_what_a_rater_is_told_of_the_standing_names_no_gold(stage: Stage) -> None:
    stage.open(golds={"p0": {"adequacy": 5}}, gold_rate=0.5)
    rater = stage.rater()
    stage.rate(rater)
    assert stage.test.standing(rater).to_rater() == {"state": "unknown", "reasons": []}


def test_a_gold_cannot_be_answered_again_after_looking(stage: Stage) -> None:
    stage.open(pair_ids=["p1", "p2", "p3"], golds={"p0": {"adequacy": 5}}, gold_rate=0.5)
    rater = stage.rater()
    while stage.item_of(shown := stage.served(rater)).kind != "gold":
        stage.rate(rater, shown)
    stage.rate(rater, shown, 1)
    assert stage.test.undo(rater).id == shown.id
    stage.rate(rater, shown, 5)
    gold = next(measure for measure in stage.test.standing(rater).measures if measure.name == "gold")
    assert (gold.n, gold.value) == (1, 0.0)
    stage.test.undo(rater)
    stage.test.skip(rater, shown.id)
    assert next(m for m in stage.test.standing(rater).measures if m.name == "gold").n == 1


def test_a_flag_before_an_answer_or_a_skip_is_in_summary_and_export(stage: Stage) -> None:
    stage.open()
    rater = stage.rater()
    first = stage.served(rater)
    stage.test.flag(rater, first.id, ["noise"])
    stage.rate(rater, first)
    second = stage.served(rater)
    stage.test.flag(rater, second.id, ["cut"])
    stage.test.skip(rater, second.id)
    found = read_summary(stage.folder)
    assert {row["flag"]: row["n"] for row in found["flags"]} == {"noise": 1, "cut": 1}
    assert found["n_ratings"] == 1
    exported = [(row["flags"], row["skipped"]) for row in rows(stage.folder)[0]]
    assert exported == [("noise", False), ("cut", True)]


def test_an_utterance_said_again_is_no_gold_of_adequacy() -> None:
    golds = planted_golds([("p0", "wrong_language"), ("p1", "wrong_translation"), ("p2", None), ("p3", None)], 4)
    assert set(golds) & {"p0", "p1"} == {"p1"}


@pytest.mark.parametrize(
    "event",
    [
        Event("plan", "", {"name": "x", "items": [], "optional": [], "gold_rate": 9.0}),
        Event("plan", "", {"name": "x", "items": [7], "optional": []}),
    ],
)
def test_a_line_that_makes_no_sense_does_not_stop_the_start(stage: Stage, event: Event) -> None:
    stage.open()
    rater = stage.rater()
    stage.rate(rater)
    served = next(e for e in read_events(stage.folder)[0] if e.kind == "serve")
    EventLog(stage.folder, clock=stage.clock).append(
        event, Event("serve", rater, {**served.data, "seconds": [1.0]}), Event("play", rater, {"presentation": []})
    )
    again = Stage(stage.folder, stage.clock).open()
    assert len(again.test.ratings()) == 1


def test_an_undo_sent_twice_takes_back_one_answer(stage: Stage) -> None:
    stage.open()
    rater = stage.rater()
    stage.rate(rater)
    second = stage.rate(rater)
    for _ in range(2):
        assert stage.test.undo(rater, "my-undo-1").id == second.id
    assert len(stage.test.ratings()) == 1


def test_asking_and_reporting_again_writes_nothing(stage: Stage) -> None:
    stage.open()
    rater = stage.rater()
    shown = stage.served(rater)
    stage.test.play(rater, shown.id, {"target": [[0, 1]]})
    before = len(read_events(stage.folder)[0])
    for _ in range(50):
        stage.served(rater)
        stage.test.play(rater, shown.id, {"target": [[0, 1]]})
    assert len(read_events(stage.folder)[0]) == before


def test_no_text_of_a_csv_is_a_formula(tmp_path: Path) -> None:
    class Formula(Corpus):
        def condition(self, pair_id: str) -> str:
            return "=1+1"

    stage = Stage(tmp_path, corpus=Formula()).open()
    stage.rate(stage.rater())
    (row,) = csv.DictReader(io.StringIO(as_csv(rows(stage.folder)[0]).decode()))
    assert row["condition"] == "'=1+1"
