"""The listening test: what a rater can do, each step checked here and written to the log before it is acknowledged.

Buttons, keyboard and programs all come through `ListeningTest`, so that nobody gets around a check.
"""

import uuid
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.listening.answers import check_answer
from stsmt.listening.assignment import count_left, has_room
from stsmt.listening.events import Damage, Event, EventLog
from stsmt.listening.items import Clip, Items, make_item
from stsmt.listening.ledger import Ledger
from stsmt.listening.offers import Offer, best_offer
from stsmt.listening.plan import Plan
from stsmt.listening.playback import Range, check_heard, joined, read_ranges
from stsmt.listening.quality import Standing, standing, standings
from stsmt.listening.questions import CONSENT
from stsmt.listening.raters import (
    Rater,
    check_competence,
    check_name,
    code_credential,
    identity_credential,
    new_code,
)
from stsmt.listening.replies import Progress, Receipt, Shown, receipt_of, shown_of
from stsmt.listening.state import Answer, Presentation, Rating
from stsmt.listening.summary import PairRatings, counted, pair_ratings

RENEW_SECONDS = 30.0  # a lease is written down again when it is this old, far below any lease's length
CHECK_TRIES = 3  # of the headphone check; who fails them all may go on, and the summary says so

Length = float | str  # of a clip in seconds, or why it cannot be played


class ListeningTest:
    """One folder of events, one corpus; safe to use from many threads and beside other processes."""

    def __init__(self, items: Items, log: EventLog, plan: Plan | None = None) -> None:
        self.items, self._ledger = items, Ledger(log)
        with self._ledger.turn():
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
        with self._ledger.turn():
            known = self._find(credential)
            if known is not None:
                return known
            self._ledger.record(Event("join", rater, {**data, "consent": CONSENT}))
            return self._ledger.rater(rater)

    def _find(self, credential: str) -> Rater | None:
        with self._ledger.turn() as state:
            return next((r for r in state.raters.values() if r.credential == credential), None)

    def record_check(self, rater: str, passed: bool, device: str) -> Rater:
        """Whether a rater heard on which side a tone was, and what is worn ("headphones", "loudspeaker")."""
        if device not in ("headphones", "loudspeaker"):
            raise UserError("Please say whether you use headphones or a loudspeaker.")
        with self._ledger.turn():
            self._ledger.record(
                Event("check", self._ledger.rater(rater).id, {"passed": bool(passed), "device": device})
            )
            return self._ledger.rater(rater)

    def is_ready(self, rater: str) -> bool:
        """Whether the headphone check is done (or not wanted)."""
        with self._ledger.turn():
            return self._ready(self._ledger.rater(rater))

    def _ready(self, rater: Rater) -> bool:
        return not self._ledger.plan.needs_check or rater.checked or rater.checks >= CHECK_TRIES

    # -- what --------------------------------------------------------------------------------------------------------

    def next(self, rater: str) -> Shown | None:
        """The item to rate now: the one that is still open, else a new one; None when nothing is left.

        Clips are decoded outside of the turn, so that nobody waits for anybody's sound.

        Raises:
            UserError: if the rater is unknown or the headphone check is missing, or it cannot be written down.
        """
        lengths: dict[Clip, Length] = {}
        while True:
            with self._ledger.turn() as state:
                who = self._ledger.rater(rater)
                if not self._ready(who):
                    raise UserError("Please do the headphone check first.")
                offer = best_offer(state, who, self._ledger.plan, self._ledger.now())
                if offer is None:
                    return None
                if lengths.keys() >= set(offer.clips.values()):
                    served = self._serve(rater, offer, lengths)
                    if served is not None:
                        return shown_of(served)
                    continue
            lengths |= {clip: self._length(clip) for clip in offer.clips.values()}

    def _length(self, clip: Clip) -> Length:
        """Seconds, or why it cannot be played."""
        try:
            return round(clip.sound(self.items).seconds, 4)
        except UserError as error:
            return str(error)

    def _serve(self, rater: str, offer: Offer, lengths: Mapping[Clip, Length]) -> Presentation | None:
        """Write down that an offer is shown; what cannot be played is set aside for everybody instead."""
        silent = [reason for clip in offer.clips.values() if isinstance(reason := lengths[clip], str)]
        if silent:
            data = {"plan": offer.plan, "item": offer.item.id, "reason": silent[0][:200]}
            self._ledger.record(Event("unplayable", rater, data))
            return None
        if offer.open is not None:
            self._resume(offer.open)
            return offer.open
        seconds = {name: lengths[clip] for name, clip in offer.clips.items()}
        event = Event("serve", rater, {**offer.to_json(), "seconds": seconds})
        self._ledger.record(event)
        return self._ledger.state.presentations[event.id]

    def _resume(self, shown: Presentation) -> None:
        """Renew the lease; not with every call, so that a program that only asks does not fill the disk."""
        if self._ledger.now() - shown.leased_at >= RENEW_SECONDS:
            self._ledger.record(Event("resume", shown.rater, {"presentation": shown.id}))

    def _room(self, shown: Presentation, now: float) -> bool:
        return has_room(self._ledger.state, shown.item, shown.rater, now, shown.plan)

    def sound(self, rater: str, presentation: str, clip: str) -> Audio:
        """A clip of what was served: `source`, `target`, `a` or `b`.

        Raises:
            UserError: if it is not this rater's, or has no such clip.
        """
        with self._ledger.turn():
            shown = self._ledger.own(rater, presentation)
        if clip not in shown.seconds:
            raise UserError(f"There is no clip {clip!r} in this item.")
        return shown.item.clip(clip, shown.swapped).sound(self.items)

    # -- answers -----------------------------------------------------------------------------------------------------

    def play(self, rater: str, presentation: str, played: Any) -> None:
        """Keep what was heard so far, so that a closed browser loses nothing; it also keeps the lease."""
        with self._ledger.turn():
            shown = self._ledger.own(rater, presentation)
            heard = joined(shown.heard, read_ranges(played, shown.seconds))
            if heard != shown.heard or self._ledger.now() - shown.leased_at >= RENEW_SECONDS:  # nothing new: no event
                self._ledger.record(Event("play", rater, _about(shown, played=heard)))

    def submit(
        self, rater: str, presentation: str, answer: Answer, played: Any, event_id: str | None = None
    ) -> Receipt:
        """Take an answer. With an `event_id` of the caller's, sending it again changes nothing.

        Raises:
            UserError: if it is incomplete, not heard to the end, too fast, too late, or cannot be written.
        """
        with self._ledger.turn():
            shown = self._ledger.own(rater, presentation)
            known = self._ledger.knows(event_id)
            if known and shown.changed_by == event_id:
                return receipt_of(shown)
            if known:
                raise UserError("This event id was used before; give each event its own.")
            if shown.status != "open":
                raise UserError("This item is already answered; undo or edit the answer to change it.")
            now = self._ledger.now()
            check_answer(answer, shown.questions)
            heard = joined(shown.heard, read_ranges(played, shown.seconds))
            check_heard(heard, shown.seconds, now - shown.served_at)
            if not self._room(shown, now):
                raise UserError("This item has waited too long and others have rated it; please go on to the next.")
            data = _about(shown, answer=answer.to_json(), played=heard)
            self._ledger.record(_event("submit", rater, data, event_id))
            return receipt_of(shown)

    def edit(self, rater: str, presentation: str, answer: Answer) -> Receipt:
        """Change an answer that was given; the earlier one stays in the log."""
        with self._ledger.turn():
            shown = self._ledger.own(rater, presentation)
            if shown.status != "rated":
                raise UserError("There is no answer to change; rate the item first.")
            check_answer(answer, shown.questions)
            self._ledger.record(Event("edit", rater, _about(shown, answer=answer.to_json())))
            return replace(receipt_of(shown), feedback=None)

    def flag(self, rater: str, presentation: str, flags: Iterable[str]) -> None:
        """Mark defects, whatever else is answered."""
        with self._ledger.turn():
            shown = self._ledger.own(rater, presentation)
            given = tuple(dict.fromkeys(flags))
            check_answer(Answer(flags=given), ())
            self._ledger.record(Event("flag", rater, _about(shown, flags=list(given))))

    def skip(self, rater: str, presentation: str, event_id: str | None = None) -> None:
        """Leave an item; it is not offered to this rater again."""
        with self._ledger.turn():
            shown = self._ledger.own(rater, presentation)
            if self._ledger.knows(event_id) and shown.changed_by == event_id:
                return
            if shown.status != "open":
                raise UserError("This item is already answered; undo or edit the answer to change it.")
            self._ledger.record(_event("skip", rater, _about(shown), event_id))

    def undo(self, rater: str, event_id: str | None = None) -> Shown:
        """Take the rater's last answer or skip back; the item is open again, and what was heard stays heard.

        With an `event_id` of the caller's, sending it again changes nothing.

        Raises:
            UserError: if there is nothing to undo, or others have taken the place of a skipped item.
        """
        with self._ledger.turn() as state:
            if self._ledger.knows(event_id):
                again = (s for s in state.of_rater.get(rater, ()) if s.changed_by == event_id)
                if (before := next(again, None)) is not None:
                    return shown_of(before)
                raise UserError("This event id was used before; give each event its own.")
            actions = state.actions.get(self._ledger.rater(rater).id)
            if not actions:
                raise UserError("There is nothing to undo.")
            shown = state.presentations[actions[-1]]
            if not self._room(shown, self._ledger.now()):
                raise UserError("This item cannot come back: others have rated it in the meantime.")
            self._ledger.record(_event("undo", rater, _about(shown, undoes=shown.changed_by), event_id))
            return shown_of(shown)

    # -- what is known -----------------------------------------------------------------------------------------------

    def progress(self, rater: str) -> Progress:
        """Training and known items count as work, too: telling them apart would give them away."""
        with self._ledger.turn() as state:
            who, now = self._ledger.rater(rater), self._ledger.now()
            own = [shown for shown in state.of_rater.get(rater, ()) if shown.item.kind != "training"]
            rated, skipped = (sum(shown.status == status for shown in own) for status in ("rated", "skipped"))
            return Progress(rated, skipped, count_left(state, who, now))

    def heard(self, rater: str, presentation: str) -> dict[str, list[Range]]:
        """What was heard of an open item, by clip: where a page that was closed goes on."""
        with self._ledger.turn():
            return dict(self._ledger.own(rater, presentation).heard)

    def is_open(self, rater: str, presentation: str) -> bool:
        """Whether an item still waits for an answer."""
        with self._ledger.turn():
            return self._ledger.own(rater, presentation).status == "open"

    def answer(self, rater: str, presentation: str) -> Answer | None:
        """What the rater answered before taking it back or to change it."""
        with self._ledger.turn():
            return self._ledger.own(rater, presentation).answer

    def standing(self, rater: str) -> Standing:
        """Whether a rater's answers count, and why not."""
        with self._ledger.turn() as state:
            return standing(self._ledger.rater(rater), state.ratings_beside(rater))

    def ratings(self) -> list[Rating]:
        """All answers that stand."""
        with self._ledger.turn() as state:
            return state.ratings()

    def skips(self) -> list[Rating]:
        """Items that were skipped with a flag."""
        with self._ledger.turn() as state:
            return state.skips()

    def counted(self) -> list[Rating]:
        """Those about pairs, by raters who are not excluded."""
        ratings = self.ratings()
        return counted(ratings, standings(self.raters(), ratings))

    def of_pair(self, pair_id: str) -> PairRatings:
        """What raters who are not excluded said of a pair."""
        with self._ledger.turn() as state:
            ratings, skips = state.about(pair_id)
            raters = {rating.rater for rating in (*ratings, *skips) if rating.rater in state.raters}
            judged = {rater: self.standing(rater) for rater in raters}
        return pair_ratings(counted(ratings, judged), counted(skips, judged), pair_id)

    def raters(self) -> list[Rater]:
        with self._ledger.turn() as state:
            return list(state.raters.values())

    @property
    def damage(self) -> Damage:
        """What of the log could not be read."""
        return self._ledger.damage

    # -- the plan ----------------------------------------------------------------------------------------------------

    def add(self, pair_ids: Iterable[str], overlap: int = 3) -> int:
        """Put more pairs into the test (the browser's "send to the listening test"); returns how many were new.

        Raises:
            UserError: if a pair does not exist.
        """
        made = [make_item(self.items, "rating", (pair_id,), overlap=overlap) for pair_id in pair_ids]  # others go on
        with self._ledger.turn() as state:
            new = [item for item in {item.id: item for item in made}.values() if item.id not in state.items]
            if new:
                data = {"plan": self._ledger.plan.name, "items": [item.to_json() for item in new]}
                self._ledger.record(Event("extend", "", data))
            return len(new)

    def start_round(self, plan: Plan) -> None:
        """Rate by this plan from now on; the same plan again changes nothing."""
        with self._ledger.turn() as state:
            if plan != state.plan:
                self._ledger.record(Event("plan", "", plan.to_json()))

    @property
    def has_plan(self) -> bool:
        with self._ledger.turn() as state:
            return state.plan is not None

    @property
    def plan(self) -> Plan:
        """The current round."""
        with self._ledger.turn():
            return self._ledger.plan


def _about(shown: Presentation, **data: Any) -> dict[str, Any]:
    return {"presentation": shown.id, **data}


def _event(kind: str, rater: str, data: dict[str, Any], event_id: str | None) -> Event:
    return Event(kind, rater, data) if event_id is None else Event(kind, rater, data, event_id)
