"""The listening test's tab: sign in, check the headphones, rate, see where one stands.

One visitor's page goes through three rooms (door, check, form) and an end. What may be done is decided by
`ListeningTest`; here it is only shown.
"""

import html
import os
import random
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from numpy.typing import NDArray

from stsmt.errors import UserError
from stsmt.example import Language
from stsmt.listening.backup import Backup, BackupStatus
from stsmt.listening.events import EventLog
from stsmt.listening.items import Items
from stsmt.listening.plan import Plan
from stsmt.listening.protocol import ListeningTest, Receipt
from stsmt.listening.quality import Standing
from stsmt.listening.questions import COMPETENCES
from stsmt.ui.answer import Updates
from stsmt.ui.forms import shown_errors
from stsmt.ui.listening_api import listening_endpoints
from stsmt.ui.listening_results import QUEUED, results_section
from stsmt.ui.rating_form import WITH_HEARD, RatingForm, rating_form, read_heard, tell, word
from stsmt.ui.strings import visitor_language

SCRIPT = Path(__file__).with_name("listening.js")
PROVIDER = "huggingface"
TONE_RATE = 16000
Handler = Callable[..., Updates]


@dataclass(frozen=True)
class Session:
    """What the server remembers of one page: never sent to the browser."""

    rater: str = ""
    presentation: str = ""
    questions: tuple[str, ...] = ()
    side: str = ""


@dataclass(frozen=True)
class Page:
    """The tab's components, room by room."""

    session: gr.State
    status: gr.HTML
    notice: gr.HTML
    door: gr.Column
    check: gr.Column
    rating: gr.Column
    end: gr.Column
    name: gr.Textbox
    competence: gr.Radio
    consent: gr.Checkbox
    start: gr.Button
    code: gr.Textbox
    resume: gr.Button
    login: gr.Button | None
    storage: gr.HTML
    tone: gr.Audio
    device: gr.Radio
    sides: dict[str, gr.Button]
    form: RatingForm
    rooms: tuple[gr.Column, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "rooms", (self.door, self.check, self.rating, self.end))

    @property
    def outputs(self) -> list[Any]:
        return [self.session, self.status, self.notice, *self.rooms, self.code, self.tone, *self.form.outputs]


@dataclass(frozen=True)
class Listening:
    """What the tab needs: the test; the state of its backup, where there is one; whether visitors can log in."""

    test: ListeningTest
    backup: Callable[[], BackupStatus] | None = None
    login: bool = False


def open_listening(
    items: Items, folder: str, plan: Callable[[], Plan], *, repository: str = "", login: bool = False
) -> Listening:
    """The test in a folder of ratings, with its copy in a dataset on the Hub if a `repository` is named.

    `plan` is asked only where no round has been started yet.

    Raises:
        UserError: if the folder cannot be written, or earlier ratings cannot be fetched or read.
    """
    backup = Backup(folder, repository) if repository else None
    test = ListeningTest(items, EventLog(folder, guard=backup.lock if backup else None))
    if not test.has_plan:
        test.start_round(plan())
    return Listening(test, backup.status if backup else None, login)


def listening_tab(listening: Listening, app: gr.Blocks) -> None:
    """Lay the tab out, connect it, and register its endpoints."""
    gr.HTML("", js_on_load=SCRIPT.read_text(encoding="utf-8"), elem_classes="quiet")
    if os.environ.get("SPACE_ID") and listening.backup is None:
        gr.Markdown(word("kept_nowhere"))
    page = _page(listening.login)
    listening_endpoints(listening.test)  # before the page's handlers, which would take the endpoints' names
    _connect(page, Desk(listening, page))
    app.load(storage(listening), outputs=page.storage, **QUEUED)
    results_section(listening.test)


def storage(listening: Listening) -> Callable[[gr.Request], str]:
    """Whether what was rated is safe, for everybody who opens the page."""

    def facts(visitor: gr.Request) -> str:
        return _chips(storage_lines(listening, visitor_language(visitor)))

    return facts


def _page(login: bool) -> Page:
    session, notice = gr.State(Session()), gr.HTML("", elem_classes="quiet")
    with gr.Column() as door:
        gr.Markdown(word("intro"))
        kept = gr.HTML("", elem_classes="quiet", elem_id="ratings-storage")
        name = gr.Textbox(label=word("rater_name"), max_lines=1)
        choices = [(word(f"competence_{value}"), value) for value in COMPETENCES]
        competence = gr.Radio(choices, label=word("competence"))
        consent = gr.Checkbox(label=word("consent"))
        start = gr.Button(word("start"), variant="primary", elem_id="rater-start")
        button = _login_buttons() if login else None
        with gr.Accordion(word("have_code"), open=False):
            code = gr.Textbox(label=word("code"), max_lines=1, elem_id="rater-code")
            resume = gr.Button(word("resume"), elem_id="rater-resume")
    with gr.Column(visible=False) as check:
        gr.Markdown(word("check_intro"))
        tone = gr.Audio(label=word("tone"), interactive=False, buttons=[], elem_id="test-tone")
        device = gr.Radio([(word(value), value) for value in ("headphones", "loudspeaker")], label=word("device"))
        with gr.Row():
            sides = {side: gr.Button(word(side), elem_id=f"side-{side}", min_width=100) for side in ("left", "right")}
    with gr.Column(visible=False, elem_id="rating-form") as rating:
        form = rating_form()
    with gr.Column(visible=False) as end:
        gr.Markdown(word("finished"))
    status = gr.HTML("", elem_classes="quiet")
    return Page(
        session,
        status,
        notice,
        *(door, check, rating, end),
        name=name,
        competence=competence,
        consent=consent,
        start=start,
        code=code,
        resume=resume,
        login=button,
        storage=kept,
        tone=tone,
        device=device,
        sides=sides,
        form=form,
    )


def _login_buttons() -> gr.Button:
    gr.LoginButton()
    return gr.Button(word("login"))


def _connect(page: Page, desk: "Desk") -> None:
    common: dict[str, Any] = {"outputs": page.outputs, "trigger_mode": "once", **QUEUED}
    about = [page.session, page.name, page.competence, page.consent]
    form, answer = page.form, [page.session, *page.form.inputs]
    gr.on([page.start.click, page.name.submit], desk.join, about, **common)
    gr.on([page.resume.click, page.code.submit], desk.resume, [page.session, page.code], **common)
    if page.login is not None:
        page.login.click(desk.log_in, about, **common)
    for side, button in page.sides.items():
        button.click(desk.heard_on(side), [page.session, page.device], **common)
    form.submit.click(desk.submit, answer, js=WITH_HEARD, **common)
    form.skip.click(desk.skip, answer, js=WITH_HEARD, **common)
    form.undo.click(desk.undo, page.session, **common)
    form.report.click(desk.report, [page.session, form.heard], js=WITH_HEARD, **QUEUED)


class Desk:
    """The handlers; each takes the session and the values of its inputs and gives updates of the page."""

    def __init__(self, listening: Listening, page: Page) -> None:
        self._test, self._listening, self._page = listening.test, listening, page

    def join(self, visitor: gr.Request, session: Session, name: str, competence: str, consent: bool) -> Updates:
        language = visitor_language(visitor)
        with shown_errors(language):
            rater, code = self._test.join(name, competence or "", consent)
            note = _notice(tell("new_code", language, code=code))
            return self._room(Session(rater.id), language) | {self._page.notice: note}

    def resume(self, visitor: gr.Request, session: Session, code: str) -> Updates:
        language = visitor_language(visitor)
        with shown_errors(language):
            return self._room(Session(self._test.resume(code).id), language)

    def log_in(
        self,
        visitor: gr.Request,
        profile: gr.OAuthProfile | None,
        session: Session,
        name: str,
        competence: str,
        consent: bool,
    ) -> Updates:
        language = visitor_language(visitor)
        with shown_errors(language):
            if profile is None:
                return {self._page.session: session}
            subject = str(profile.get("sub") or profile.username)
            known = self._test.identify(PROVIDER, subject)
            rater = known or self._test.join_as(PROVIDER, subject, name or profile.name, competence or "", consent)
            return self._room(Session(rater.id), language)

    def heard_on(self, side: str) -> Handler:
        """The handler of one of the two answers to the test tone."""

        def handler(visitor: gr.Request, session: Session, device: str) -> Updates:
            language = visitor_language(visitor)
            with shown_errors(language):
                passed = side == session.side
                self._test.record_check(session.rater, passed, device or "")
                if not passed:
                    gr.Warning(tell("check_again", language))
                updates = self._room(session, language)
                del updates[self._page.notice]  # the resume code stays until the first answer
                return updates

        return handler

    def submit(self, visitor: gr.Request, session: Session, *values: Any) -> Updates:
        language = visitor_language(visitor)
        with shown_errors(language):
            answer, item, heard = self._page.form.read(values, session.questions)
            if item != session.presentation:  # the page has missed an update: what it shows must not rate another item
                return self._room(session, language)
            receipt = self._test.submit(session.rater, session.presentation, answer, heard)
            return self._room(session, language) | {self._page.notice: _feedback(receipt, language)}

    def skip(self, visitor: gr.Request, session: Session, *values: Any) -> Updates:
        language = visitor_language(visitor)
        with shown_errors(language):
            answer, item, _ = self._page.form.read(values, session.questions)
            if self._test.is_open(session.rater, item):  # if not, another page of this rater has dealt with it
                if answer.flags:
                    self._test.flag(session.rater, item, answer.flags)
                self._test.skip(session.rater, item)
            return self._room(session, language)

    def undo(self, visitor: gr.Request, session: Session) -> Updates:
        language = visitor_language(visitor)
        with shown_errors(language):
            self._test.undo(session.rater)
            return self._room(session, language)

    def report(self, session: Session, heard: str) -> None:
        """Keep what was heard so far; a report that is not accepted is not worth a message."""
        with suppress(UserError):
            if session.presentation and (played := read_heard(heard)):
                self._test.play(session.rater, session.presentation, played)

    # -- rooms -------------------------------------------------------------------------------------------------------

    def _room(self, session: Session, language: Language) -> Updates:
        """Where this rater is now: the check, an item, or the end."""
        page = self._page
        quiet: Updates = {page.notice: "", page.code: "", page.status: self._status(session.rater, language)}
        if not self._test.is_ready(session.rater):
            side = random.choice(("left", "right"))
            opened: Updates = {page.session: replace(session, side=side), page.tone: (TONE_RATE, tone(side))}
            return quiet | opened | self._open(page.check)
        shown = self._test.next(session.rater)
        if shown is None:
            return quiet | {page.session: Session(session.rater)} | self._open(page.end)
        filled = page.form.filled(self._test, session.rater, shown, language)
        session = Session(session.rater, shown.id, shown.questions)
        return quiet | filled | {page.session: session} | self._open(page.rating)

    def _open(self, room: gr.Column) -> Updates:
        updates: dict[Any, Any] = {other: gr.update(visible=other is room) for other in self._page.rooms}
        return updates

    def _status(self, rater: str, language: Language) -> str:
        facts = [tell("rated_left", language, **vars(self._test.progress(rater)))]
        return _chips(
            [*facts, standing_line(self._test.standing(rater), language), *storage_lines(self._listening, language)]
        )


def _chips(facts: list[str]) -> str:
    items = "".join(f"<li>{html.escape(fact)}</li>" for fact in facts)
    return f'<ul class="health" role="status">{items}</ul>' if facts else ""


def storage_lines(listening: Listening, language: Language) -> list[str]:
    """What of the log is damaged, and how old the copy elsewhere is."""
    damage = listening.test.damage
    lost = len(damage.torn) + sum(map(len, damage.unreadable.values()))
    facts = [tell("damage", language, n=lost)] if lost else []
    return [*facts, *(backup_lines(listening.backup(), language) if listening.backup else ())]


def backup_lines(status: BackupStatus, language: Language) -> list[str]:
    """The age of the last good push, and why the last try failed."""
    minutes = None if status.age is None else round(status.age / 60)
    lines = [tell("backup_never", language) if minutes is None else tell("backup_age", language, minutes=minutes)]
    return lines + ([tell("backup_failed", language, failure=status.failure)] if status.failure else [])


def standing_line(standing: Standing, language: Language) -> str:
    """Whether the ratings count, and why not."""
    reasons = (tell(f"reason_{name}", language) for name in standing.reasons)
    return tell(f"standing_{standing.state}", language, reasons="; ".join(reasons))


def _feedback(receipt: Receipt, language: Language) -> str:
    if not receipt.feedback:
        return ""
    scores = "; ".join(f"{tell(name, language)} {_span(*span)}" for name, span in receipt.feedback.items())
    return _notice(tell("feedback", language, scores=scores))


def _span(low: int, high: int) -> str:
    return str(low) if low == high else f"{low}–{high}"


def _notice(text: str) -> str:
    return f'<div class="notice" role="alert"><p>{html.escape(text)}</p></div>'


def tone(side: str) -> NDArray[np.int16]:
    """A second of 440 Hz in one ear, faded in and out: int16 [T, 2]."""
    t = np.arange(TONE_RATE) / TONE_RATE
    wave = 0.2 * np.sin(2 * np.pi * 440 * t) * np.minimum(1, 20 * np.minimum(t, 1 - t))
    both = np.zeros((TONE_RATE, 2), np.int16)
    both[:, ("left", "right").index(side)] = np.round(32767 * wave).astype(np.int16)
    return both
