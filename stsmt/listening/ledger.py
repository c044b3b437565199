"""The log and what it amounts to: whoever looks, decides and writes within a `turn` does so alone."""

from collections.abc import Iterator
from contextlib import contextmanager

from stsmt.errors import UserError
from stsmt.listening.events import ID, Damage, Event, EventLog
from stsmt.listening.plan import Plan
from stsmt.listening.raters import Rater
from stsmt.listening.state import Presentation, State


class Ledger:
    """The `state` that a log leads to, kept up to date; safe to use from many threads and beside other processes."""

    def __init__(self, log: EventLog) -> None:
        self._log, self.state = log, State()

    @contextmanager
    def turn(self) -> Iterator[State]:
        """Alone among all threads and processes, with everything they have written taken in; may be nested.

        Gives the state as it is now; after `record`, ask `state` again.

        Raises:
            UserError: if the folder cannot be read or is busy for too long.
        """
        with self._log.exclusive():
            self._take_in(self._log.news())
            yield self.state

    def record(self, event: Event) -> None:
        """Write an event and take it in; within a turn.

        Raises:
            UserError: if it cannot be written; then nothing has changed.
        """
        self._take_in(self._log.append(event))

    def _take_in(self, events: list[Event]) -> None:
        if events and events[0].at <= self.state.last:  # older events have come in from elsewhere: start over
            self.state = State()
            events = self._log.everything()
        self.state.apply(events)

    def now(self) -> float:
        """Seconds since 1970, never before the last event."""
        return self._log.now()

    @property
    def damage(self) -> Damage:
        return self._log.damage

    def knows(self, event_id: str | None) -> bool:
        """Whether an event with this id of a caller's has been written.

        Raises:
            UserError: if it cannot be an id.
        """
        if event_id is not None and not ID.fullmatch(event_id):
            raise UserError("An event id has 8 to 64 letters, digits, - or _.")
        return event_id is not None and self._log.knows(event_id)

    @property
    def plan(self) -> Plan:
        """The current round.

        Raises:
            UserError: if there is none.
        """
        if self.state.plan is None:
            raise UserError("There is nothing to rate yet: this test has no plan.")
        return self.state.plan

    def rater(self, rater: str) -> Rater:
        """A rater who has joined.

        Raises:
            UserError: if nobody has this id.
        """
        if rater not in self.state.raters:
            raise UserError("Please sign in first.")
        return self.state.raters[rater]

    def own(self, rater: str, presentation: str) -> Presentation:
        """What was shown to this rater.

        Raises:
            UserError: if it was not.
        """
        shown = self.state.presentations.get(str(presentation))
        if shown is None or shown.rater != self.rater(rater).id:
            raise UserError("This item is not yours; ask for the next one.")
        return shown
