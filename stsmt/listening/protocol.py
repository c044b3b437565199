"""The listening test: what a rater can do, each step checked here and written to the log before it is acknowledged.

Buttons, keyboard and programs all come through `ListeningTest`, so that nobody gets around a check.
"""

import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.listening.answers import check_answer
from stsmt.listening.assignment import count_left, has_room, next_item, questions_for
from stsmt.listening.events import ID, Damage, Event, EventLog
from stsmt.listening.items import Item, Items, make_item
from stsmt.listening.plan import Plan, fraction
from stsmt.listening.playback import check_heard, joined, read_ranges
from stsmt.listening.quality import Standing, standing, standings
from stsmt.listening.questions import CONSENT, LABELS, heard_for
from stsmt.listening.raters import (
    Rater,
    check_competence,
    check_name,
    code_credential,
    identity_credential,
    new_code,
)
from stsmt.listening.replies import Progress, Receipt, Shown, receipt_of, shown_of
from stsmt.listening.state import Answer, Presentation, Rating, State
from stsmt.listening.statistics import Interval
from stsmt.listening.summary import counted, pair_means

RENEW_SECONDS = 30.0  # a lease is written down again when it is this old, far below any lease's length
CHECK_TRIES = 3  # of the headphone check; who fails them all may go on, and the summary says so


class ListeningTest:
    """One folder of events, one corpus; safe to use from many threads and beside other processes."""

    def __init__(self, items: Items, log: EventLog, plan: Plan | None = None) -> None:
        self.items, self._log, self._state = items, log, State()
        with self._turn():
            if plan is not None:
                self.start_round(plan)

    # -- who ---------------------------------------------------------------------------------------------------------

    def join(self, name: str, competence: str, consent: bool) -> tuple[Rater, str]:
        """A new rater and the secret code with which to come back; it is not kept.

        Raises:
            UserError: without consent, or for a name or competence that cannot be.
        """
        code = new_code()
        return self._join(name, competence, consent, code_credential(code)), code

    def resume(self, code: str) -> Rater:
        """The rater with this code.

        Raises:
            UserError: if there is none.
        """
        rater = self._find(code_credential(code))
        if rater is None:
            raise UserError("Nobody here has this resume code; check it, or start anew.")
        return rater

    def identify(self, provider: str, subject: str) -> Rater | None:
        """The rater with an identity that a login service vouches for, if there is one yet."""
        return self._find(identity_credential(provider, subject))

    def join_as(self, provider: str, subject: str, name: str, competence: str, consent: bool) -> Rater:
        """A new rater with such an identity."""
        return self._join(name, competence, consent, identity_credential(provider, subject))

    def _join(self, name: str, competence: str, consent: bool, credential: str) -> Rater:
        if consent is not True:
            raise UserError("Please agree to the use of your ratings first.")
        data = {"name": check_name(name), "competence": check_competence(competence), "credential": credential}
        rater = f"r-{uuid.uuid4().hex[:12]}"
        with self._turn():
            known = self._find(credential)
            if known is not None:
                return known
            self._record(Event("join", rater, {**data, "consent": CONSENT}))
            return self._state.raters[rater]

    def _find(self, credential: str) -> Rater | None:
        with self._turn():
            return next((r for r in self._state.raters.values() if r.credential == credential), None)

    def record_check(self, rater: str, passed: bool, device: str) -> Rater:
        """Whether a rater heard on which side a tone was, and what is worn ("headphones", "loudspeaker")."""
        if device not in ("headphones", "loudspeaker"):
            raise UserError("Please say whether you use headphones or a loudspeaker.")
        with self._turn():
            self._record(Event("check", self._rater(rater).id, {"passed": bool(passed), "device": device}))
            return self._rater(rater)

    def is_ready(self, rater: str) -> bool:
        """Whether the headphone check is done (or not wanted)."""
        with self._turn():
            return self._ready(self._rater(rater))

    def _ready(self, rater: Rater) -> bool:
        return not self._plan.needs_check or rater.checked or rater.checks >= CHECK_TRIES

    # -- what --------------------------------------------------------------------------------------------------------

    def next(self, rater: str) -> Shown | None:
        """The item to rate now: the one that is still open, else a new one; None when nothing is left.

        Raises:
            UserError: if the rater is unknown or the headphone check is missing, or it cannot be written down.
        """
        with self._turn():
            who, now = self._rater(rater), self._log.now()
            if not self._ready(who):
                raise UserError("Please do the headphone check first.")
            for shown in self._state.open_ones(rater):
                room = shown.item.kind == "training" or self._room(shown, now)
                if room and self._seconds(shown.item, shown.plan, rater, shown.questions, shown.swapped) is not None:
                    self._resume(shown, now)
                    return shown_of(shown)
            while (item := next_item(self._state, who, now)) is not None:
                served = self._serve(who, item)
                if served is not None:
                    return shown_of(served)
            return None

    def _room(self, shown: Presentation, now: float) -> bool:
        return has_room(self._state, shown.item, shown.rater, now, shown.plan)

    def _resume(self, shown: Presentation, now: float) -> None:
        """Renew the lease; not with every call, so that a program that only asks does not fill the disk."""
        if now - shown.leased_at >= RENEW_SECONDS:
            self._record(Event("resume", shown.rater, {"presentation": shown.id}))

    def _seconds(
        self, item: Item, plan: str, rater: str, questions: tuple[str, ...], swapped: bool
    ) -> dict[str, float] | None:
        """The lengths of an item's clips; None if one cannot be played: then it is set aside for everybody."""
        if (plan, item.id) in self._state.unplayable:
            return None
        try:
            return {c: round(self._sound(item, swapped, c).seconds, 4) for c in heard_for(questions)}
        except UserError as error:
            data = {"plan": plan, "item": item.id, "reason": str(error)[:200]}
            self._record(Event("unplayable", rater, data))
            return None

    def _serve(self, rater: Rater, item: Item) -> Presentation | None:
        questions = questions_for(rater, item, self._plan)
        swapped = len(item.targets) > 1 and fraction(self._plan.seed, rater.id, item.id, "order") < 0.5
        data = {
            "item": item.to_json(),
            "plan": self._plan.name,
            "questions": list(questions),
            "labels": LABELS,
            "swapped": swapped,
            "seed": self._plan.seed,
        }
        seconds = self._seconds(item, self._plan.name, rater.id, questions, swapped)
        if seconds is None:
            return None
        event = Event("serve", rater.id, {**data, "seconds": seconds})
        self._record(event)
        return self._state.presentations[event.id]

    def sound(self, rater: str, presentation: str, clip: str) -> Audio:
        """A clip of what was served: `source`, `target`, `a` or `b`.

        Raises:
            UserError: if it is not this rater's, or has no such clip.
        """
        with self._turn():
            shown = self._own(rater, presentation)
        if clip not in shown.seconds:
            raise UserError(f"There is no clip {clip!r} in this item.")
        return self._sound(shown.item, shown.swapped, clip)

    def _sound(self, item: Item, swapped: bool, clip: str) -> Audio:
        if clip == "source":
            return item.source.sound(self.items)
        return item.targets[int((clip == "b") != swapped) if clip in ("a", "b") else 0].sound(self.items)

    # -- answers -----------------------------------------------------------------------------------------------------

    def play(self, rater: str, presentation: str, played: Any) -> None:
        """Keep what was heard so far, so that a closed browser loses nothing; it also keeps the lease."""
        with self._turn():
            shown = self._own(rater, presentation)
            heard = joined(shown.heard, read_ranges(played, shown.seconds))
            if heard != shown.heard or self._log.now() - shown.leased_at >= RENEW_SECONDS:  # nothing new: no event
                self._record(Event("play", rater, _about(shown, played=heard)))

    def submit(
        self, rater: str, presentation: str, answer: Answer, played: Any, event_id: str | None = None
    ) -> Receipt:
        """Take an answer. With an `event_id` of the caller's, sending it again changes nothing.

        Raises:
            UserError: if it is incomplete, not heard to the end, too fast, too late, or cannot be written.
        """
        with self._turn():
            shown = self._own(rater, presentation)
            known = self._known(event_id)
            if known and shown.changed_by == event_id:
                return receipt_of(shown)
            if known:
                raise UserError("This event id was used before; give each event its own.")
            if shown.status != "open":
                raise UserError("This item is already answered; undo or edit the answer to change it.")
            now = self._log.now()
            check_answer(answer, shown.questions)
            heard = joined(shown.heard, read_ranges(played, shown.seconds))
            check_heard(heard, shown.seconds, now - shown.served_at)
            if not self._room(shown, now):
                raise UserError("This item has waited too long and others have rated it; please go on to the next.")
            data = _about(shown, answer=answer.to_json(), played=heard)
            self._record(_event("submit", rater, data, event_id))
            return receipt_of(shown)

    def edit(self, rater: str, presentation: str, answer: Answer) -> Receipt:
        """Change an answer that was given; the earlier one stays in the log."""
        with self._turn():
            shown = self._own(rater, presentation)
            if shown.status != "rated":
                raise UserError("There is no answer to change; rate the item first.")
            check_answer(answer, shown.questions)
            self._record(Event("edit", rater, _about(shown, answer=answer.to_json())))
            return replace(receipt_of(shown), feedback=None)

    def flag(self, rater: str, presentation: str, flags: Iterable[str]) -> None:
        """Mark defects, whatever else is answered."""
        with self._turn():
            shown = self._own(rater, presentation)
            given = tuple(dict.fromkeys(flags))
            check_answer(Answer(flags=given), ())
            self._record(Event("flag", rater, _about(shown, flags=list(given))))

    def skip(self, rater: str, presentation: str, event_id: str | None = None) -> None:
        """Leave an item; it is not offered to this rater again."""
        with self._turn():
            shown = self._own(rater, presentation)
            if self._known(event_id) and shown.changed_by == event_id:
                return
            if shown.status != "open":
                raise UserError("This item is already answered; undo or edit the answer to change it.")
            self._record(_event("skip", rater, _about(shown), event_id))

    def undo(self, rater: str, event_id: str | None = None) -> Shown:
        """Take the rater's last answer or skip back; the item is open again, and what was heard stays heard.

        With an `event_id` of the caller's, sending it again changes nothing.

        Raises:
            UserError: if there is nothing to undo, or others have taken the place of a skipped item.
        """
        with self._turn():
            if self._known(event_id):
                again = (s for s in self._state.of_rater.get(rater, ()) if s.changed_by == event_id)
                if (before := next(again, None)) is not None:
                    return shown_of(before)
                raise UserError("This event id was used before; give each event its own.")
            actions = self._state.actions.get(self._rater(rater).id)
            if not actions:
                raise UserError("There is nothing to undo.")
            shown = self._state.presentations[actions[-1]]
            if not self._room(shown, self._log.now()):
                raise UserError("This item cannot come back: others have rated it in the meantime.")
            self._record(_event("undo", rater, _about(shown, undoes=shown.changed_by), event_id))
            return shown_of(shown)

    # -- what is known -----------------------------------------------------------------------------------------------

    def progress(self, rater: str) -> Progress:
        """Training and known items count as work, too: telling them apart would give them away."""
        with self._turn():
            who, now = self._rater(rater), self._log.now()
            own = [shown for shown in self._state.of_rater.get(rater, ()) if shown.item.kind != "training"]
            rated, skipped = (sum(shown.status == status for shown in own) for status in ("rated", "skipped"))
            return Progress(rated, skipped, count_left(self._state, who, now))

    def heard(self, rater: str, presentation: str) -> dict[str, list[tuple[float, float]]]:
        """What was heard of an open item, by clip: where a page that was closed goes on."""
        with self._turn():
            return dict(self._own(rater, presentation).heard)

    def is_open(self, rater: str, presentation: str) -> bool:
        """Whether an item still waits for an answer."""
        with self._turn():
            return self._own(rater, presentation).status == "open"

    def answer(self, rater: str, presentation: str) -> Answer | None:
        """What the rater answered before taking it back or to change it."""
        with self._turn():
            return self._own(rater, presentation).answer

    def standing(self, rater: str) -> Standing:
        """Whether a rater's answers count, and why not."""
        with self._turn():
            return standing(self._rater(rater), self._state.ratings_beside(rater))

    def ratings(self) -> list[Rating]:
        """All answers that stand."""
        with self._turn():
            return self._state.ratings()

    def skips(self) -> list[Rating]:
        """Items that were skipped with a flag."""
        with self._turn():
            return self._state.skips()

    def counted(self) -> list[Rating]:
        """Those about pairs, by raters who are not excluded."""
        ratings = self.ratings()
        return counted(ratings, standings(self.raters(), ratings))

    def means(self, pair_id: str) -> dict[str, Interval]:
        """What raters said of a pair, by question."""
        with self._turn():
            own = [rating for rating in self._state.ratings() if rating.item.targets[0].pair_id == pair_id]
            raters = {rating.rater for rating in own if rating.rater in self._state.raters}
            judged = {rater: self.standing(rater) for rater in raters}
        return pair_means(counted(own, judged), pair_id)

    def raters(self) -> list[Rater]:
        with self._turn():
            return list(self._state.raters.values())

    @property
    def damage(self) -> Damage:
        """What of the log could not be read."""
        return self._log.damage

    # -- the plan ----------------------------------------------------------------------------------------------------

    def add(self, pair_ids: Iterable[str], overlap: int = 3) -> int:
        """Put more pairs into the test (the browser's "send to the listening test"); returns how many were new.

        Raises:
            UserError: if a pair does not exist.
        """
        made = [make_item(self.items, "rating", (pair_id,), overlap=overlap) for pair_id in pair_ids]  # others go on
        with self._turn():
            new = [item for item in {item.id: item for item in made}.values() if item.id not in self._state.items]
            if new:
                self._record(Event("plan", "", replace(self._plan, items=(*self._plan.items, *new)).to_json()))
            return len(new)

    def start_round(self, plan: Plan) -> None:
        """Rate by this plan from now on; the same plan again changes nothing."""
        with self._turn():
            if plan != self._state.plan:
                self._record(Event("plan", "", plan.to_json()))

    @property
    def has_plan(self) -> bool:
        with self._turn():
            return self._state.plan is not None

    @property
    def plan(self) -> Plan:
        """The current round."""
        with self._turn():
            return self._plan

    @property
    def _plan(self) -> Plan:
        if self._state.plan is None:
            raise UserError("There is nothing to rate yet: this test has no plan.")
        return self._state.plan

    # -- the log -----------------------------------------------------------------------------------------------------

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Alone among all threads and processes, with everything they have written taken in."""
        with self._log.exclusive():
            self._take_in(self._log.news())
            yield

    def _record(self, event: Event) -> None:
        self._take_in(self._log.append(event))

    def _take_in(self, events: list[Event]) -> None:
        if events and events[0].at <= self._state.last:  # older events have come in from elsewhere: start over
            self._state = State()
            events = self._log.everything()
        self._state.apply(events)

    def _known(self, event_id: str | None) -> bool:
        if event_id is not None and not ID.fullmatch(event_id):
            raise UserError("An event id has 8 to 64 letters, digits, - or _.")
        return event_id is not None and self._log.knows(event_id)

    def _rater(self, rater: str) -> Rater:
        if rater not in self._state.raters:
            raise UserError("Please sign in first.")
        return self._state.raters[rater]

    def _own(self, rater: str, presentation: str) -> Presentation:
        shown = self._state.presentations.get(str(presentation))
        if shown is None or shown.rater != self._rater(rater).id:
            raise UserError("This item is not yours; ask for the next one.")
        return shown


def _about(shown: Presentation, **data: Any) -> dict[str, Any]:
    return {"presentation": shown.id, **data}


def _event(kind: str, rater: str, data: dict[str, Any], event_id: str | None) -> Event:
    return Event(kind, rater, data) if event_id is None else Event(kind, rater, data, event_id)
