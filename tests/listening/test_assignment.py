"""Who hears what: enough of each item, never too much, nobody and nothing left out."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stsmt.errors import UserError
from stsmt.listening.assignment import questions_for
from stsmt.listening.items import PairItems, make_item
from stsmt.listening.plan import borderline, make_plan, planted_golds, sample, starting_plan, stratified, suspected
from stsmt.listening.questions import COMPETENCES
from stsmt.listening.raters import Rater
from tests.listening.corpus import Clock, Corpus, Stage, answer, whole


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "ratings")


def counts(stage: Stage) -> Counter[str]:
    return Counter(rating.item.targets[0].pair_id for rating in stage.test.ratings())


def test_every_item_gets_its_ratings_and_no_more(stage: Stage) -> None:
    stage.open(overlap=2)
    assert [stage.rate_all(stage.rater()) for _ in range(3)] == [6, 6, 0]
    assert set(counts(stage).values()) == {2}


def test_two_raters_at_once_do_not_rate_an_item_too_often(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], overlap=1)
    one, two = stage.rater(), stage.rater()
    shown = stage.served(one)
    assert stage.test.next(two) is None
    stage.rate(one, shown)
    assert stage.test.next(two) is None


def test_two_apps_on_one_folder_share_the_work(tmp_path: Path) -> None:
    """As two processes do: each has its own log object and lock; six simulated raters work at once."""
    corpus, clock = Corpus(15), Clock()
    apps = [Stage(tmp_path, clock, corpus).open(overlap=2) for _ in range(2)]
    raters = [apps[i % 2].rater(f"simulated {i}") for i in range(6)]
    with ThreadPoolExecutor(6) as pool:  # a rater may move from one app to the other
        done = list(pool.map(lambda i: apps[i // 3].rate_all(raters[i]), range(6)))
    assert sum(done) == 30
    for app in apps:
        assert counts(app) == {f"p{i}": 2 for i in range(15)}


def test_an_abandoned_item_goes_to_somebody_else_and_the_late_answer_is_refused(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], overlap=1, lease_seconds=100.0)
    one, two = stage.rater(), stage.rater()
    late = stage.served(one)
    stage.clock.wait(101)
    stage.rate(two)
    with pytest.raises(UserError, match="waited too long"):
        stage.test.submit(one, late.id, answer(late), whole(late))
    assert stage.test.next(one) is None
    assert counts(stage) == {"p0": 1}


def test_a_late_answer_counts_while_there_is_room(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], overlap=1, lease_seconds=100.0)
    rater = stage.rater()
    shown = stage.served(rater)
    stage.clock.wait(1000)
    stage.rate(rater, shown)
    assert counts(stage) == {"p0": 1}


def test_playing_keeps_the_lease(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], overlap=1, lease_seconds=100.0)
    one, two = stage.rater(), stage.rater()
    shown = stage.served(one)
    for _ in range(5):
        stage.clock.wait(60)
        stage.test.play(one, shown.id, {"target": [[0, 1]]})
        assert stage.test.next(two) is None


def test_undo_keeps_the_place_of_an_answer(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], overlap=1)
    one, two = stage.rater(), stage.rater()
    stage.rate(one)
    stage.test.undo(one)
    assert stage.test.next(two) is None


def test_a_skip_cannot_be_undone_when_others_have_taken_the_place(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], overlap=1)
    one, two = stage.rater(), stage.rater()
    stage.test.skip(one, stage.served(one).id)
    stage.rate(two)
    with pytest.raises(UserError, match="cannot come back"):
        stage.test.undo(one)


def test_a_share_of_the_pairs_is_rated_twice(stage: Stage) -> None:
    stage.open(overlap=1, double=(0.5, 2))
    for _ in range(3):
        stage.rate_all(stage.rater())
    assert Counter(counts(stage).values()) == {1: 3, 2: 3}


def test_gold_traps_and_anchors_come_at_their_rates(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=Corpus(60))
    golds = {f"p{i}": {"adequacy": 5} for i in range(40, 50)}
    pair_ids = [f"p{i}" for i in range(40)]
    stage.open(
        pair_ids=pair_ids, golds=golds, traps=10, anchors=["p50", "p51"], gold_rate=0.1, trap_rate=0.2, anchor_rate=0.1
    )
    rater = stage.rater()
    kinds = [stage.item_of(stage.rate(rater)).kind for _ in range(40)]
    assert kinds.count("gold") == pytest.approx(4, abs=1)
    assert kinds.count("trap") == pytest.approx(8, abs=1)
    assert kinds.count("anchor") == 2


def test_anchors_come_again_in_the_next_round(stage: Stage) -> None:
    stage.open(pair_ids=["p0"], anchors=["p5"], name="one")
    rater = stage.rater()
    assert stage.rate_all(rater) == 2
    again = Stage(stage.folder, stage.clock).open(pair_ids=["p1"], anchors=["p5"], name="two")
    assert again.rate_all(rater) == 2
    assert Counter((r.plan, r.item.kind) for r in again.test.ratings())[("two", "anchor")] == 1


@settings(max_examples=15)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["rate", "skip", "undo", "leave", "wait"])), max_size=40),
    st.integers(1, 2),
)
def test_no_order_of_events_rates_an_item_too_often(steps: list[tuple[int, str]], overlap: int) -> None:
    with TemporaryDirectory() as folder:
        stage = Stage(Path(folder), corpus=Corpus(3)).open(overlap=overlap, lease_seconds=100.0)
        raters = [stage.rater(f"simulated {i}") for i in range(4)]
        held = {}
        for number, action in steps:
            rater = raters[number]
            try:
                if action == "wait":
                    stage.clock.wait(60)
                elif action == "undo":
                    held[rater] = stage.test.undo(rater)
                elif action == "leave":
                    held[rater] = stage.test.next(rater) or held.get(rater)
                else:
                    shown = held.pop(rater, None) or stage.test.next(rater)
                    if shown and action == "rate":
                        stage.rate(rater, shown)
                    elif shown:
                        stage.test.skip(rater, shown.id)
            except UserError:
                pass
            assert all(count <= overlap for count in counts(stage).values())
        stage.clock.wait(1000)  # whoever left has left: the rest is rated by new raters, and nothing starves
        for i in range(2):
            stage.rate_all(stage.rater(f"late {i}"))
        assert counts(stage) == {f"p{i}": overlap for i in range(3)}


# -- sampling --------------------------------------------------------------------------------------------------------


def test_strata_are_heard_alike_however_rare() -> None:
    ids = [f"p{i}" for i in range(100)]
    chosen = stratified(ids, lambda pair_id: pair_id == "p7" or int(pair_id[1:]) > 90, 10)
    assert sum(p == "p7" or int(p[1:]) > 90 for p in chosen) == 5
    assert chosen == stratified(ids, lambda pair_id: pair_id == "p7" or int(pair_id[1:]) > 90, 10)


def test_the_borderline_is_what_lies_nearest_and_has_a_value() -> None:
    values = {"a": 0.1, "b": 0.48, "c": 0.55, "d": None, "e": float("nan")}
    assert borderline(values, 0.5, 2) == ["b", "c"]
    assert borderline(values, 0.5, 10) == ["b", "c", "a"]


def test_only_what_is_suspected_is_sampled_as_suspected() -> None:
    assert set(suspected({"a": True, "b": False, "c": None, "d": True}, 5)) == {"a", "d"}
    assert sample(["a", "b", "c"], 2, 1) == sample(["a", "b", "c"], 2, 1)


def test_a_trap_mismatches_pairs_of_one_direction() -> None:
    corpus = Corpus(8, both_ways=True)
    plan = make_plan(corpus, "x", list(corpus.pair_ids()), traps=4)
    traps = [item for item in plan.items if item.kind == "trap"]
    assert len(traps) == 4
    for item in traps:
        assert item.source.pair_id != item.targets[0].pair_id
        assert corpus.language(item.targets[0].pair_id, "target") == item.target_language


def test_planted_defects_give_golds_and_a_plan_to_start_with() -> None:
    corpus = Corpus(30)
    kinds = {0: "wrong_translation", 1: "noise", 2: "truncation"}
    golds = planted_golds([(f"p{i}", kinds.get(i % 5)) for i in range(30)], 12)
    obvious = Counter(next(iter(scores.items())) for scores in golds.values())
    assert obvious == {("adequacy", 1): 4, ("adequacy", 5): 4, ("naturalness", 1): 4}
    assert not {pair_id for pair_id in golds if int(pair_id[1:]) % 5 == 2}
    plan = starting_plan(corpus, list(corpus.pair_ids()), golds, count=10)
    assert Counter(item.kind for item in plan.items) == {"rating": 10, "gold": 7, "training": 5, "trap": 1}


def test_who_understands_one_language_practises_and_meets_golds_too() -> None:
    corpus = Corpus(30, both_ways=True)
    kinds = {0: "wrong_translation", 1: "noise"}
    golds = planted_golds([(f"p{i}", kinds.get(i % 5)) for i in range(30)], 20)
    plan = starting_plan(corpus, list(corpus.pair_ids()), golds)
    for competence in COMPETENCES:
        rater = Rater("r", "simulated", competence, "c", joined_at=0.0)
        kinds = {item.kind for item in plan.items if questions_for(rater, item, plan)}
        assert {"training", "gold", "rating"} <= kinds


def test_what_is_compared_must_translate_the_same_sentence() -> None:
    with pytest.raises(UserError, match="p0 and p1 cannot be compared"):
        make_item(Corpus(2, both_ways=True), "comparison", ("p0", "p1"))


def test_items_can_be_made_of_any_corpus() -> None:
    sides = SimpleNamespace(
        source=SimpleNamespace(text="駅", language="ja"), target=SimpleNamespace(text="a", language="en")
    )
    items = PairItems(lambda: ["x"], lambda pair_id: sides, lambda pair, side: None, lambda pair: "voice")
    assert (items.text("x", "source"), items.language("x", "target"), items.condition("x")) == ("駅", "en", "voice")
    with pytest.raises(UserError, match="without sound"):
        items.audio("x", "target")


def test_a_plan_with_impossible_rates_is_refused() -> None:
    with pytest.raises(UserError, match="rates"):
        make_plan(Corpus(), "x", ["p0"], gold_rate=0.9)
    with pytest.raises(UserError, match="Optional"):
        make_plan(Corpus(), "x", ["p0"], optional=("beauty",))
