"""More raters for items whose answers do not count, as ITU-T P.808's reference implementation lists clips to extend."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

from stsmt.errors import UserError
from stsmt.listening.events import Event, EventLog
from stsmt.listening.quality import standings
from stsmt.listening.state import State


def refill(folder: Path | str) -> int:
    """Open a place for each answer of an excluded rater in the current round; returns how many there are.

    Running apps take it in at their next step. Doing it again changes nothing until more raters are excluded.

    Raises:
        UserError: if there is no round, or it cannot be written.
    """
    log = EventLog(folder)
    with log.exclusive():
        state = State()
        state.apply(log.news())
        if state.plan is None:
            raise UserError("There is nothing to rate yet: this test has no plan.")
        lost = _lost(state, state.plan.name)
        items = tuple(replace(item, spare=lost[item.id]) for item in state.plan.items)
        if items != state.plan.items:
            log.append(Event("plan", "", replace(state.plan, items=items).to_json()))
        return lost.total()


def _lost(state: State, plan: str) -> Counter[str]:
    """How many answers of excluded raters each item has that wants a number of them."""
    ratings = state.ratings()
    judged = standings(state.raters.values(), ratings)
    excluded = {rater for rater, standing in judged.items() if standing.state == "excluded"}
    own = (r for r in ratings if r.plan == plan and r.rater in excluded and r.item.overlap is not None)
    return Counter(rating.item.id for rating in own)
