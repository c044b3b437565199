"""The handlers of the listening tab, run without a browser; the raters are simulated."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from stsmt.listening.backup import BackupStatus
from stsmt.listening.events import read_events
from stsmt.ui.listening import Desk, Listening, Page, Session, _page, listening_tab, open_listening, storage
from stsmt.ui.rating_form import RatingForm
from stsmt.ui.strings import TEXTS
from tests.listening.corpus import Corpus, Stage


def visitor(language: str = "en") -> Any:
    return SimpleNamespace(headers={"accept-language": language})


class Visit:
    """A page and its desk; keeps what the page shows."""

    def __init__(self, stage: Stage, language: str = "en") -> None:
        with gr.Blocks():
            self.page: Page = _page(login=False)
        self.desk = Desk(Listening(stage.test), self.page)
        self.stage, self.language, self.shown = stage, language, {self.page.session: Session()}

    @property
    def session(self) -> Session:
        return self.shown[self.page.session]  # type: ignore[no-any-return, index]

    def do(self, name: str, *values: Any) -> dict[Any, Any]:
        handler = getattr(self.desk, name)
        updates = handler(visitor(self.language), self.session, *values)
        self.shown.update(updates)
        return updates  # type: ignore[no-any-return]

    def room(self) -> str:
        rooms = {"door": self.page.door, "check": self.page.check, "rating": self.page.rating, "end": self.page.end}
        return next(name for name, room in rooms.items() if self.shown[room]["visible"])

    def answers(self, score: int = 4, choice: str = "a", heard: Any = None) -> list[Any]:
        """The values of the form when everything asked is answered and everything was heard."""
        form: RatingForm = self.page.form
        asked = self.session.questions
        scales = [score if name in asked else None for name in form.scales]
        choices = [choice if name in asked else None for name in form.preferences]
        state = self.stage.test._ledger.state.presentations[self.session.presentation]
        whole = {clip: [[0, seconds]] for clip, seconds in state.seconds.items()}
        self.stage.clock.wait(10)
        return [*scales, *choices, [], "", self.session.presentation, json.dumps(whole if heard is None else heard)]


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path / "ratings").open(pair_ids=["p0", "p1"], overlap=2, needs_check=True)


@pytest.fixture
def visit(stage: Stage) -> Iterator[Visit]:
    yield Visit(stage)


def through_the_door(visit: Visit) -> str:
    updates = visit.do("join", "simulated", "both", True)
    code = updates[visit.page.notice].split("code is ")[1][:19]
    visit.shown.update(visit.desk.heard_on(visit.session.side)(visitor(), visit.session, "headphones"))
    return str(code)


def test_a_rater_goes_from_the_door_through_the_check_to_the_end(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(gr, "Warning", told.append)
    visit.do("join", "simulated", "both", True)
    assert visit.room() == "check"
    wrong = "left" if visit.session.side == "right" else "right"
    visit.shown.update(visit.desk.heard_on(wrong)(visitor(), visit.session, "headphones"))
    assert visit.room() == "check" and "other ear" in told[0]
    assert "code is" in visit.shown[visit.page.notice]
    visit.shown.update(visit.desk.heard_on(visit.session.side)(visitor(), visit.session, "headphones"))
    assert visit.room() == "rating"
    for left in (1, 0):
        visit.do("submit", *visit.answers())
        assert f"{left} left" in visit.shown[visit.page.status]
    assert visit.room() == "end"
    assert len(visit.stage.test.ratings()) == 2


def test_only_what_is_asked_is_shown_and_nothing_tells_the_system(visit: Visit) -> None:
    through_the_door(visit)
    form = visit.page.form
    shown = {name: visit.shown[scale]["visible"] for name, scale in form.scales.items()}
    assert shown == {"adequacy": True, "naturalness": True, "source_quality": False, "voice_similarity": False}
    assert [clip for clip, player in form.players.items() if visit.shown[player]["visible"]] == ["source", "target"]
    told = " ".join(str(value) for part, value in visit.shown.items() if part not in form.players.values())
    assert not re.search(r"\b(good|bad|p0|p1)\b", told)  # whole words: a random id may hold the letters


def test_a_page_that_comes_back_knows_what_was_heard(visit: Visit) -> None:
    through_the_door(visit)
    form = visit.page.form
    assert json.loads(visit.shown[form.heard]) == {}
    visit.desk.report(visit.session, json.dumps({"source": [[0, 0.6]]}))
    again = Visit(visit.stage)
    again.shown.update(again.desk._room(Session(visit.session.rater), "en"))
    assert json.loads(again.shown[again.page.form.heard]) == {"source": [[0.0, 0.6]]}


def test_whether_ratings_are_safe_is_said_at_the_door(stage: Stage) -> None:
    quiet, kept = Listening(stage.test), Listening(stage.test, backup=lambda: BackupStatus("x", 600.0, "Timeout"))
    assert storage(quiet)(visitor()) == ""
    assert "Last backup 10 min ago." in storage(kept)(visitor()) and "Timeout" in storage(kept)(visitor())
    (stage.folder / "events-torn.jsonl").write_bytes(b'{"v": 1')
    stage.test.raters()
    assert "could not be read" in storage(quiet)(visitor())


def test_undo_fills_in_what_was_answered(visit: Visit) -> None:
    through_the_door(visit)
    first = visit.session.presentation
    visit.do("submit", *visit.answers(score=2))
    visit.do("undo")
    assert visit.session.presentation == first
    assert visit.shown[visit.page.form.scales["adequacy"]]["value"] == 2
    visit.do("submit", *visit.answers(score=3, heard={}))  # what was heard before stays heard
    assert [rating.scores["adequacy"] for rating in visit.stage.test.ratings()] == [3]


def test_a_closed_browser_resumes_at_the_same_item(visit: Visit) -> None:
    code = through_the_door(visit)
    visit.desk.report(visit.session, json.dumps({"source": [[0, 1]], "target": [[0, 1]]}))
    again = Visit(visit.stage)
    again.do("resume", code)
    assert again.session.presentation == visit.session.presentation
    again.do("submit", *again.answers(heard={}))
    assert len(visit.stage.test.ratings()) == 1


def test_a_page_that_missed_an_update_does_not_rate_another_item(visit: Visit) -> None:
    through_the_door(visit)
    values = visit.answers()
    visit.do("submit", *values)
    shown = visit.session.presentation
    visit.do("submit", *values)  # the page still shows the first item
    assert len(visit.stage.test.ratings()) == 1
    assert visit.session.presentation == shown
    visit.do("skip", *values)
    assert visit.session.presentation == shown


def test_a_visitor_who_is_logged_in_needs_no_code(stage: Stage) -> None:
    data = {"name": "Simulated", "preferred_username": "sim", "profile": "", "picture": "", "sub": "123"}
    profile = gr.OAuthProfile(data)
    visit = Visit(stage)
    for _ in range(2):
        visit.shown.update(visit.desk.log_in(visitor(), profile, Session(), "", "both", True))
        assert visit.room() == "check"
    assert len(stage.test.raters()) == 1
    assert visit.desk.log_in(visitor(), None, Session(), "", "both", True) == {visit.page.session: Session()}


def test_skipping_with_a_flag_keeps_the_flag(visit: Visit) -> None:
    through_the_door(visit)
    values = visit.answers()
    values[-4] = ["noise"]
    visit.do("skip", *values)
    kinds = [event.kind for event in read_events(visit.stage.folder)[0]]
    assert kinds.count("flag") == kinds.count("skip") == 1


@pytest.mark.parametrize(
    ("language", "words"), [("en", "whole clip"), ("ja", "先に最後まで聞いてください")], ids=["en", "ja"]
)
def test_what_was_not_heard_is_refused_in_the_language_of_the_visitor(stage: Stage, language: str, words: str) -> None:
    visit = Visit(stage)
    through_the_door(visit)
    visit.language = language
    with pytest.raises(gr.Error, match=words):
        visit.do("submit", *visit.answers(heard={}))
    with pytest.raises(gr.Error):
        visit.do("submit", *[*visit.answers()[:-1], "[" * 100_000])
    assert stage.test.ratings() == []


def test_training_is_followed_by_what_was_expected(tmp_path: Path) -> None:
    stage = Stage(tmp_path).open(
        pair_ids=["p0"], trainings={"p1": {"adequacy": 5, "naturalness": 4}}, comparisons=[("p2", "p3")]
    )
    visit = Visit(stage)
    visit.do("join", "simulated", "both", True)
    assert "practice" in visit.shown[visit.page.form.about]
    visit.do("submit", *visit.answers())
    assert "5" in visit.shown[visit.page.notice] and "expected" in visit.shown[visit.page.notice]
    while visit.room() == "rating":
        visit.do("submit", *visit.answers())
    assert {rating.choice for rating in stage.test.ratings()} == {None, "a"}


def test_a_plan_is_made_only_where_there_is_none(tmp_path: Path) -> None:
    corpus = Corpus(8)
    plan = Stage(tmp_path / "other", corpus=corpus).open().test.plan
    assert open_listening(corpus, str(tmp_path / "new"), lambda: plan).test.plan == plan
    again = open_listening(corpus, str(tmp_path / "new"), lambda: pytest.fail("asked again"))
    assert again.test.plan == plan


def test_every_scale_has_words_for_its_five_steps() -> None:
    for name in ("adequacy", "naturalness", "source_quality", "voice_similarity"):
        for step in range(1, 6):
            assert all(words.startswith(str(step)) for words in TEXTS[f"listening_{name}_{step}"])


@pytest.mark.parametrize(("space", "warned"), [("somebody/stsmt", True), ("", False)])
def test_a_space_that_keeps_no_ratings_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, space: str, warned: bool
) -> None:
    monkeypatch.setenv("SPACE_ID", space)
    stage = Stage(tmp_path)
    stage.open()
    with gr.Blocks() as app:
        listening_tab(Listening(stage.test), app)
    assert ("kept_nowhere" in str(app.get_config_file())) == warned
