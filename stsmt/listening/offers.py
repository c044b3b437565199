"""What a rater could hear next, before it is known whether it can be played.

Decoding a clip takes a thousand times longer than deciding about it, so it happens between two turns at the log: the
first names the offer, the second serves it if it is still the one to serve.
"""

from dataclasses import dataclass
from typing import Any

from stsmt.listening.assignment import has_room, next_item, questions_for
from stsmt.listening.items import Clip, Item
from stsmt.listening.plan import Plan, fraction
from stsmt.listening.questions import LABELS, heard_for
from stsmt.listening.raters import Rater
from stsmt.listening.state import Presentation, State


@dataclass(frozen=True)
class Offer:
    """An item as it would be asked about. `swapped`: the second target is A; `open`: it was served already."""

    item: Item
    plan: str
    questions: tuple[str, ...]
    swapped: bool
    seed: int = 0
    open: Presentation | None = None

    @property
    def clips(self) -> dict[str, Clip]:
        """The clips to hear, by the names that the page gives them."""
        return {name: self.item.clip(name, self.swapped) for name in heard_for(self.questions)}

    def to_json(self) -> dict[str, Any]:
        """The data of the event that serves it, without the lengths of its clips."""
        return {
            "item": self.item.to_json(),
            "plan": self.plan,
            "questions": list(self.questions),
            "labels": LABELS,
            "swapped": self.swapped,
            "seed": self.seed,
        }


def best_offer(state: State, rater: Rater, plan: Plan, now: float) -> Offer | None:
    """The latest item that is still open and has room, else a new one; None when nothing is left."""
    for shown in state.open_ones(rater.id):
        room = shown.item.kind == "training" or has_room(state, shown.item, rater.id, now, shown.plan)
        if room and (shown.plan, shown.item.id) not in state.unplayable:
            return Offer(shown.item, shown.plan, shown.questions, shown.swapped, open=shown)
    item = next_item(state, rater, now)
    if item is None:
        return None
    swapped = len(item.targets) > 1 and fraction(plan.seed, rater.id, item.id, "order") < 0.5
    return Offer(item, plan.name, questions_for(rater, item, plan), swapped, plan.seed)
