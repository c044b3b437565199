"""What raters can do, and what they cannot."""

from pathlib import Path

import numpy as np
import pytest

from stsmt.errors import UserError
from stsmt.listening.answers import MAX_COMMENT
from stsmt.listening.events import Event, EventLog, read_events
from stsmt.listening.protocol import ListeningTest
from stsmt.listening.state import Answer
from tests.listening.corpus import Corpus, Stage, answer, whole


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "ratings")


# -- who -------------------------------------------------------------------------------------------------------------


def test_a_rater_comes_back_with_the_code_however_it_is_typed(stage: Stage) -> None:
    rater, code = stage.open().test.join("Simulated A", "both", consent=True)
    assert stage.test.resume(code).id == rater.id
    assert stage.test.resume(f"  {code.upper().replace('-', ' ')} ").id == rater.id


def test_the_code_is_kept_only_as_a_hash(stage: Stage) -> None:
    _, code = stage.open().test.join("Simulated A", "both", consent=True)
    stored = b"".join(path.read_bytes() for path in stage.folder.iterdir())
    assert code.encode() not in stored and code.replace("-", "").encode() not in stored


@pytest.mark.parametrize("code", ["", "wrong", "abcd-efgh-jkmn-pqrs", "hf:somebody", "ａ" * 16, "x" * 100_000])
def test_a_wrong_code_is_refused(stage: Stage, code: str) -> None:
    stage.open().rater()
    with pytest.raises(UserError, match="resume code"):
        stage.test.resume(code)


def test_a_login_service_names_the_same_rater_again(stage: Stage) -> None:
    stage.open()
    assert stage.test.identify("hf", "123") is None
    rater = stage.test.join_as("hf", "123", "Simulated", "ja", consent=True)
    found = stage.test.identify("hf", "123")
    assert found is not None and found.id == rater.id


@pytest.mark.parametrize(
    ("name", "competence", "consent", "words"),
    [
        ("A", "both", False, "agree"),
        ("", "both", True, "name"),
        ("a\x00b", "both", True, "name"),
        ("\u202eevil", "both", True, "name"),
        ("a" * 61, "both", True, "name"),
        ("\ud800", "both", True, "name"),
        ("A", "fr", True, "competence"),
    ],
)
def test_joining_needs_consent_a_name_and_a_language(
    stage: Stage, name: str, competence: str, consent: bool, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        stage.open().test.join(name, competence, consent)


def test_the_headphone_check_comes_first(stage: Stage) -> None:
    rater = stage.open(needs_check=True).rater()
    with pytest.raises(UserError, match="headphone check"):
        stage.test.next(rater)
    stage.test.record_check(rater, False, "loudspeaker")
    assert not stage.test.is_ready(rater)
    stage.test.record_check(rater, True, "headphones")
    assert stage.test.next(rater) is not None


# -- what is asked ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("competence", "questions", "clips"),
    [
        ("both", ("adequacy", "naturalness"), ["source", "target"]),
        ("en", ("naturalness",), ["target"]),
    ],
)
def test_competence_decides_what_is_asked_and_heard(
    stage: Stage, competence: str, questions: tuple[str, ...], clips: list[str]
) -> None:
    stage.open()
    shown = stage.served(stage.rater(competence=competence))
    assert shown.questions == questions
    assert list(shown.seconds) == clips


def test_who_understands_only_the_source_is_asked_about_it_or_not_at_all(stage: Stage) -> None:
    stage.open()
    assert stage.test.next(stage.rater(competence="ja")) is None
    stage.open(name="round-2", optional=("source_quality", "voice_similarity"))
    assert stage.served(stage.rater(competence="ja")).questions == ("source_quality", "voice_similarity")


def test_nothing_that_a_rater_sees_tells_the_pair_or_the_system(stage: Stage) -> None:
    stage.open(golds={"p0": {"adequacy": 5}}, traps=1)
    shown = stage.served(stage.rater())
    seen = str(shown.to_json()).replace(shown.id, "")  # random letters, which may spell a word
    assert not any(word in seen for word in ("good", "bad", "p0", "p1", "gold", "trap", "rating"))


def test_a_clip_is_given_only_to_whom_it_was_served(stage: Stage) -> None:
    stage.open()
    mine, other = stage.rater(), stage.rater()
    shown = stage.served(mine)
    assert stage.test.sound(mine, shown.id, "target").seconds == pytest.approx(1.0)
    with pytest.raises(UserError, match="not yours"):
        stage.test.sound(other, shown.id, "target")
    with pytest.raises(UserError, match="no clip"):
        stage.test.sound(mine, shown.id, "../../etc/passwd")


# -- hearing before rating -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("played", "words"),
    [
        ({}, "whole clip"),
        ({"source": [[0, 1]]}, "whole clip"),
        ({"source": [[0, 1]], "target": [[0.9, 1.0]]}, "whole clip"),
        ({"source": [[0, 1]], "target": [[0, 0.4]] * 5}, "whole clip"),
        ({"source": [[0, 1]], "target": [[0, 5]]}, "within"),
        ({"source": [[0, 1]], "target": [[0.5, 0.1]]}, "within"),
        ({"source": [[0, 1]], "target": [[float("nan"), 1]]}, "within"),
        ({"source": [[0, 1]], "target": [[0, float("inf")]]}, "within"),
        ({"source": [[0, 1]], "target": "all"}, "pairs"),
        ({"source": [[0, 1]], "target": [[0, 1, 2]]}, "pairs"),
        ({"source": [[0, 1]], "target": [[0, 1]] * 2000}, "pairs"),
        ({"source": [[0, 1]], "other": [[0, 1]]}, "no clip"),
        ([1, 2], "must be given"),
    ],
)
def test_what_was_not_heard_cannot_be_rated(stage: Stage, played: object, words: str) -> None:
    stage.open()
    rater = stage.rater()
    shown = stage.served(rater)
    stage.clock.wait(60)
    with pytest.raises(UserError, match=words):
        stage.test.submit(rater, shown.id, answer(shown), played)
    assert stage.test.ratings() == []


def test_claiming_to_have_heard_is_not_enough(stage: Stage) -> None:
    """Ranges can be invented; the server's clock cannot."""
    stage.open()
    rater = stage.rater()
    shown = stage.served(rater)
    stage.clock.wait(1.7)
    with pytest.raises(UserError, match="faster"):
        stage.test.submit(rater, shown.id, answer(shown), whole(shown))
    stage.clock.wait(0.2)
    stage.test.submit(rater, shown.id, answer(shown), whole(shown))


def test_parts_heard_before_the_browser_was_closed_count(stage: Stage) -> None:
    stage.open()
    rater = stage.rater()
    shown = stage.served(rater)
    stage.test.play(rater, shown.id, {"source": [[0, 1]], "target": [[0, 0.5]]})
    stage.clock.wait(60)
    again = Stage(stage.folder, stage.clock).open()
    back = again.served(rater)
    assert back.id == shown.id
    assert again.test.heard(rater, shown.id)["target"] == [(0.0, 0.5)]
    again.test.submit(rater, shown.id, answer(shown), {"target": [[0.5, 1]]})


# -- answers ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "given",
    [
        Answer({}),
        Answer({"adequacy": 5}),
        Answer({"adequacy": 0, "naturalness": 3}),
        Answer({"adequacy": 6, "naturalness": 3}),
        Answer({"adequacy": True, "naturalness": 3}),
        Answer({"adequacy": 2.5, "naturalness": 3}),  # type: ignore[dict-item]
        Answer({"adequacy": 5, "naturalness": 3, "beauty": 3}),
        Answer({"adequacy": 5, "naturalness": 3}, choice="a"),
        Answer({"adequacy": 5, "naturalness": 3}, flags=("<b>",)),
        Answer({"adequacy": 5, "naturalness": 3}, comment="x" * (MAX_COMMENT + 1)),
        Answer({"adequacy": 5, "naturalness": 3}, comment="x" * 100_000),
        Answer({"adequacy": 5, "naturalness": 3}, comment="\udc00"),
    ],
)
def test_an_answer_that_does_not_fit_is_refused(stage: Stage, given: Answer) -> None:
    stage.open()
    rater = stage.rater()
    shown = stage.served(rater)
    stage.clock.wait(60)
    with pytest.raises(UserError):
        stage.test.submit(rater, shown.id, given, whole(shown))
    assert stage.test.ratings() == []


def test_an_answer_sent_twice_is_kept_once(stage: Stage) -> None:
    stage.open()
    rater = stage.rater()
    shown = stage.served(rater)
    stage.clock.wait(60)
    receipts = [
        stage.test.submit(rater, shown.id, answer(shown), whole(shown), event_id="my-event-1") for _ in range(3)
    ]
    assert receipts[0] == receipts[1] == receipts[2]
    assert sum(e.kind == "submit" for e in read_events(stage.folder)[0]) == 1
    with pytest.raises(UserError, match="already answered"):
        stage.test.submit(rater, shown.id, answer(shown), whole(shown))
    other = stage.served(rater)
    with pytest.raises(UserError, match="used before"):
        stage.test.submit(rater, other.id, answer(other), whole(other), event_id="my-event-1")


def test_undo_edit_skip_and_flag_are_events_and_nothing_is_overwritten(stage: Stage) -> None:
    stage.open()
    rater = stage.rater()
    first = stage.rate(rater, score=2)
    stage.test.edit(rater, first.id, answer(first, 3))
    second = stage.served(rater)
    stage.test.skip(rater, second.id)
    assert stage.test.undo(rater).id == second.id
    stage.test.flag(rater, second.id, ["noise"])
    stage.rate(rater, second, score=5, flags=("loop",))
    assert stage.test.undo(rater).id == second.id
    assert stage.test.undo(rater).id == first.id
    with pytest.raises(UserError, match="nothing to undo"):
        stage.test.undo(rater)
    assert stage.test.ratings() == []
    assert stage.served(rater).id == first.id
    stage.rate(rater, first, score=4)
    assert [r.scores["adequacy"] for r in stage.test.ratings()] == [4]
    kinds = [e.kind for e in read_events(stage.folder)[0] if e.rater == rater]
    assert [kinds.count(kind) for kind in ("submit", "edit", "skip", "flag", "undo")] == [3, 1, 1, 1, 3]


def test_a_skipped_item_does_not_come_back(stage: Stage) -> None:
    stage.open(pair_ids=["p0", "p1"])
    rater = stage.rater()
    skipped = stage.served(rater)
    stage.test.skip(rater, skipped.id)
    assert stage.rate_all(rater) == 1
    assert stage.test.progress(rater).skipped == 1
    assert stage.test.progress(rater).left == 0


def test_a_comparison_names_the_winner_whatever_the_order(stage: Stage) -> None:
    stage.open(pair_ids=[], comparisons=[("p0", "p1")], overlap=20)
    raters = [stage.rater(f"simulated {i}") for i in range(20)]
    for rater in raters:
        shown = stage.served(rater)
        first = stage.test.sound(rater, shown.id, "a")
        prefers_a = np.array_equal(first.samples, stage.corpus.audio("p0", "target").samples)
        stage.rate(rater, shown, choice="a" if prefers_a else "b")
    assert {r.winner for r in stage.test.ratings()} == {0}
    assert len({r.choice for r in stage.test.ratings()}) == 2


def test_the_order_of_a_rater_is_the_same_after_a_restart(stage: Stage, tmp_path: Path) -> None:
    stage.open(overlap=5)
    rater = stage.rater()
    twin = Stage(tmp_path / "twin", stage.clock).open(overlap=5)
    for event in read_events(stage.folder)[0]:
        if event.kind == "join":
            twin.test._ledger.record(Event("join", rater, event.data))
    orders = [[s.item_of(s.rate(rater)).id for _ in range(6)] for s in (stage, twin)]
    assert orders[0] == orders[1]


def test_training_tells_what_was_right_and_comes_again_after_an_hour(stage: Stage) -> None:
    stage.open(trainings={"p0": {"adequacy": 5, "naturalness": 2}})
    rater = stage.rater()
    shown = stage.served(rater)
    assert shown.is_training
    stage.clock.wait(60)
    receipt = stage.test.submit(rater, shown.id, answer(shown), whole(shown))
    assert receipt.feedback == {"adequacy": (5, 5), "naturalness": (2, 2)}
    assert not stage.rate(rater).is_training
    stage.clock.wait(3601)
    assert stage.served(rater).is_training
    assert all(r.item.kind != "training" or r.scores for r in stage.test.ratings())


def test_more_pairs_can_be_sent_to_the_test(stage: Stage) -> None:
    stage.open(pair_ids=["p0"])
    assert stage.test.add(["p0", "p1", "p1", "p2"]) == 2
    assert stage.rate_all(stage.rater()) == 3
    reopened = ListeningTest(stage.corpus, EventLog(stage.folder, clock=stage.clock))
    assert len(reopened.plan.items) == 3


def test_without_a_plan_there_is_a_sentence(tmp_path: Path) -> None:
    test = ListeningTest(Corpus(), EventLog(tmp_path))
    rater, _ = test.join("Simulated", "both", consent=True)
    with pytest.raises(UserError, match="no plan"):
        test.next(rater.id)


def test_who_has_not_signed_in_gets_a_sentence(stage: Stage) -> None:
    with pytest.raises(UserError, match="sign in"):
        stage.open().test.next("nobody")
