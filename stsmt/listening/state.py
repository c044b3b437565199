"""What the events amount to: raters, the plan, presentations and their answers. Rebuilt from the log at any time."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from stsmt.errors import UserError
from stsmt.listening.events import Event
from stsmt.listening.items import Item
from stsmt.listening.plan import Plan
from stsmt.listening.playback import Range, joined
from stsmt.listening.raters import Rater


@dataclass(frozen=True)
class Answer:
    """Scores by question, or a choice between two targets (`a` and `b` as they were shown); flags; a comment."""

    scores: dict[str, int] = field(default_factory=dict)
    choice: str | None = None
    flags: tuple[str, ...] = ()
    comment: str = ""

    def to_json(self) -> dict[str, Any]:
        return {"scores": self.scores, "choice": self.choice, "flags": list(self.flags), "comment": self.comment}

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> "Answer":
        return cls(dict(data["scores"]), data["choice"], tuple(data["flags"]), str(data["comment"]))


@dataclass
class Presentation:
    """One item as shown to one rater: order, clips' lengths in seconds, what was heard, and what came of it.

    `swapped`: the second target is shown as A. `leased_at`: the last sign of life; `changed_by`: the event that closed
    it. `flagged`: defects reported apart from the answer. `first`: the first answer, given at `first_at`.
    """

    id: str
    rater: str
    item: Item
    plan: str
    questions: tuple[str, ...]
    seconds: dict[str, float]
    swapped: bool
    served_at: float
    leased_at: float
    status: Literal["open", "rated", "skipped"] = "open"
    heard: dict[str, list[Range]] = field(default_factory=dict)
    answer: Answer | None = None
    closed_at: float = 0.0
    changed_by: str = ""
    edits: int = 0
    flagged: tuple[str, ...] = ()
    first: Answer | None = None
    first_at: float = 0.0

    def target(self, shown: str) -> int:
        """Which of the item's targets is shown as `target`, `a` or `b`."""
        return int((shown == "b") != self.swapped) if shown in ("a", "b") else 0


@dataclass(frozen=True)
class Rating:
    """The latest valid answer of a rater to an item: what is counted, exported and trained on.

    `winner`: for comparisons, the index of the preferred target, None for a tie or both bad (`choice` says which).
    `seconds`: of sound to hear; `took`: seconds from serving to answering. `skipped`: only flagged, not answered.
    """

    id: str
    rater: str
    plan: str
    item: Item
    questions: tuple[str, ...]
    scores: dict[str, int]
    choice: str | None
    winner: int | None
    flags: tuple[str, ...]
    comment: str
    at: float
    seconds: float
    took: float
    skipped: bool = False


class State:
    """All raters, presentations and the current plan, as the events so far leave them."""

    def __init__(self) -> None:
        self.raters: dict[str, Rater] = {}
        self.plan: Plan | None = None
        self.items: dict[str, Item] = {}
        self.presentations: dict[str, Presentation] = {}
        self.of_rater: dict[str, list[Presentation]] = {}
        self.of_item: dict[tuple[str, str], list[Presentation]] = {}  # by round and item
        self.actions: dict[str, list[str]] = {}  # presentations closed by a rater and not undone, the latest last
        self.unplayable: set[tuple[str, str]] = set()  # by round and item: their sound cannot be had
        self.orphans = 0  # events about what is not in the log
        self.last = 0.0

    def apply(self, events: Iterable[Event]) -> None:
        """Take in events in the order of time; what refers to something unknown is counted as an orphan."""
        for event in events:
            handler = getattr(self, f"_{event.kind}", None)
            try:
                if handler is None:
                    raise LookupError(event.kind)
                handler(event)
            except (LookupError, TypeError, ValueError, AttributeError, UserError):
                self.orphans += 1
            self.last = max(self.last, event.at)

    def open_ones(self, rater: str) -> list[Presentation]:
        """The open presentations of a rater, the latest first."""
        own = [shown for shown in self.of_rater.get(rater, ()) if shown.status == "open"]
        return sorted(own, key=lambda shown: (shown.leased_at, shown.id), reverse=True)

    def taken(self, item: Item, now: float, but: str | None = None, plan: str | None = None) -> int:
        """How many raters other than `but` have rated an item in a round (None: this one) or hold a lease on it."""
        name, lease = (self.plan.name, self.plan.lease_seconds) if self.plan else ("", 0.0)
        shown = (one for one in self.of_item.get((plan or name, item.id), ()) if one.rater != but)
        return sum(one.status == "rated" or (one.status == "open" and now - one.leased_at <= lease) for one in shown)

    def ratings(self) -> list[Rating]:
        """All answers that stand, in the order of time."""
        return _ratings(self.presentations.values())

    def skips(self) -> list[Rating]:
        """Items that were skipped with a flag: no score, but a defect that somebody has reported."""
        return _skips(self.presentations.values())

    def about(self, pair_id: str) -> tuple[list[Rating], list[Rating]]:
        """The answers that stand, and the skips with a flag, to items with a target of this pair."""
        keys = [key for key, shown in self.of_item.items() if any(t.pair_id == pair_id for t in shown[0].item.targets)]
        shown = [one for key in keys for one in self.of_item[key]]
        return _ratings(shown), _skips(shown)

    def ratings_beside(self, rater: str) -> list[Rating]:
        """The answers of a rater, and those of others to the same items: enough to judge this rater."""
        keys = {(shown.plan, shown.item.id) for shown in self.of_rater.get(rater, ())}
        shown = [one for key in sorted(keys) for one in self.of_item[key]]
        return _ratings(shown)

    # -- one method per kind of event --------------------------------------------------------------------------------

    def _join(self, event: Event) -> None:
        data = event.data
        self.raters[event.rater] = Rater(
            event.rater, data["name"], data["competence"], data["credential"], joined_at=event.at
        )

    def _check(self, event: Event) -> None:
        rater = self.raters[event.rater]
        rater.device, rater.checked, rater.checks = event.data["device"], event.data["passed"], rater.checks + 1

    def _plan(self, event: Event) -> None:
        self.plan = Plan.from_json(event.data)
        self.items = {item.id: item for item in self.plan.items}

    def _extend(self, event: Event) -> None:
        if self.plan is None or self.plan.name != event.data["plan"]:
            raise LookupError("another round")
        new = [item for item in map(Item.from_json, event.data["items"]) if item.id not in self.items]
        self.plan = replace(self.plan, items=(*self.plan.items, *new))
        self.items |= {item.id: item for item in new}

    def _unplayable(self, event: Event) -> None:
        self.unplayable.add((str(event.data["plan"]), str(event.data["item"])))

    def _serve(self, event: Event) -> None:
        data = event.data
        shown = Presentation(
            event.id,
            event.rater,
            Item.from_json(data["item"]),
            data["plan"],
            tuple(data["questions"]),
            {clip: float(seconds) for clip, seconds in data["seconds"].items()},
            bool(data["swapped"]),
            served_at=event.at,
            leased_at=event.at,
        )
        self.presentations[event.id] = shown
        self.of_rater.setdefault(event.rater, []).append(shown)
        self.of_item.setdefault((shown.plan, shown.item.id), []).append(shown)

    def _resume(self, event: Event) -> None:
        self._own(event).leased_at = event.at

    def _play(self, event: Event) -> None:
        shown = self._own(event)
        shown.heard = joined(
            shown.heard, {c: [(r[0], r[1]) for r in ranges] for c, ranges in event.data["played"].items()}
        )
        shown.leased_at = event.at

    def _submit(self, event: Event) -> None:
        self._play(event)
        shown = self._own(event)
        answer = Answer.from_json(event.data["answer"])
        shown.answer = replace(answer, flags=tuple(dict.fromkeys((*answer.flags, *shown.flagged))))
        self._close(shown, "rated", event)
        shown.first, shown.first_at = shown.first or shown.answer, shown.first_at or event.at

    def _edit(self, event: Event) -> None:
        shown = self._own(event)
        if shown.status == "rated":
            shown.answer, shown.edits = Answer.from_json(event.data["answer"]), shown.edits + 1

    def _flag(self, event: Event) -> None:
        shown = self._own(event)
        shown.flagged = tuple(event.data["flags"])
        shown.answer = replace(shown.answer or Answer(), flags=shown.flagged)

    def _skip(self, event: Event) -> None:
        self._close(self._own(event), "skipped", event)

    def _undo(self, event: Event) -> None:
        shown = self._own(event)
        if shown.status == "open":
            return
        self.actions[event.rater].remove(shown.id)
        shown.status, shown.leased_at, shown.changed_by = "open", event.at, event.id
        shown.flagged = ()  # the form shows them again, to be kept or taken away

    def _close(self, shown: Presentation, status: Literal["rated", "skipped"], event: Event) -> None:
        actions = self.actions.setdefault(event.rater, [])
        if shown.status != "open":  # two processes without a common lock have closed it: the later one holds
            actions.remove(shown.id)
        actions.append(shown.id)
        shown.status, shown.changed_by, shown.closed_at = status, event.id, event.at

    def _own(self, event: Event) -> Presentation:
        shown = self.presentations[event.data["presentation"]]
        if shown.rater != event.rater:
            raise LookupError("somebody else's presentation")
        return shown


def _ratings(presentations: Iterable[Presentation]) -> list[Rating]:
    """The answers that stand. Of gold and trap items the first one does, whatever came later: otherwise one could
    answer, see whether the ratings still count, and correct it."""
    found = []
    for shown in presentations:
        judges = shown.item.kind in ("gold", "trap")
        answer = shown.first if judges else shown.answer if shown.status == "rated" else None
        if answer is not None:
            found.append(_rating(shown, answer, at=shown.first_at if judges else shown.closed_at))
    return sorted(found, key=lambda rating: (rating.at, rating.id))


def _skips(presentations: Iterable[Presentation]) -> list[Rating]:
    shown = [one for one in presentations if one.status == "skipped" and one.flagged]
    ordered = sorted(shown, key=lambda one: (one.closed_at, one.id))
    return [_rating(one, Answer(flags=one.flagged), skipped=True) for one in ordered]


def _rating(shown: Presentation, answer: Answer, at: float | None = None, skipped: bool = False) -> Rating:
    at = shown.closed_at if at is None else at
    return Rating(
        id=shown.id,
        rater=shown.rater,
        plan=shown.plan,
        item=shown.item,
        questions=shown.questions,
        scores=dict(answer.scores),
        choice=answer.choice,
        winner=shown.target(answer.choice) if answer.choice in ("a", "b") else None,
        flags=answer.flags,
        comment=answer.comment,
        at=at,
        seconds=sum(shown.seconds.values()),
        took=at - shown.served_at,
        skipped=skipped,
    )
