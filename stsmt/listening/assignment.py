"""Who hears what next. Pure decisions on the state: no clock, no log, no sound.

Every rater has an own seeded order. Among the items still wanted, those with the fewest ratings and leases come first,
so that none starves; a lease keeps an item's place while somebody listens, so that none is rated too often.
"""

from collections import Counter

from stsmt.listening.items import KNOWN_KINDS, Item
from stsmt.listening.plan import Plan, fraction
from stsmt.listening.questions import asked, asked_preference
from stsmt.listening.raters import Rater
from stsmt.listening.state import Presentation, State

SERVED_KINDS = ("rating", "comparison", "anchor", "gold", "trap")


def questions_for(rater: Rater, item: Item, plan: Plan) -> tuple[str, ...]:
    """What this rater can be asked about an item; nothing if it is not for this rater."""
    languages = item.source_language, item.target_language
    if item.kind == "comparison":
        return asked_preference(rater.competence, *languages)
    names = asked(rater.competence, *languages, plan.optional)
    if item.kind in KNOWN_KINDS and not set(names) & set(item.expected):
        return ()
    return names


def next_item(state: State, rater: Rater, now: float) -> Item | None:
    """The item to serve, or None when nothing is left for this rater."""
    due = due_training(state, rater, now)
    if due:
        return due[0]
    regular = _candidates(state, rater, now, "rating", "comparison")
    anchors = _candidates(state, rater, now, "anchor")
    if not regular and not anchors:
        return None  # known items alone would teach nothing about the pairs
    for kind in behind(state, rater):
        special = _candidates(state, rater, now, kind)
        if special:
            return _first(state, rater, now, special)
    return _first(state, rater, now, regular or anchors)


def due_training(state: State, rater: Rater, now: float) -> list[Item]:
    """Training items that the rater has not answered, or too long ago."""
    plan = _plan(state)
    recent = {
        shown.item.id
        for shown in state.of_rater.get(rater.id, ())
        if shown.status != "open" and now - shown.closed_at <= plan.training_seconds
    }
    trainings = (item for item in plan.items if item.kind == "training" and questions_for(rater, item, plan))
    return [item for item in trainings if item.id not in recent and _playable(state, item)]


def _playable(state: State, item: Item) -> bool:
    return (_plan(state).name, item.id) not in state.unplayable


def behind(state: State, rater: Rater) -> list[str]:
    """The special kinds of which the rater has had fewer than the plan's rates ask for.

    Each kind gets one seeded place in each block of 1 / rate items; if it is taken, the next one.
    """
    return _behind(state, rater, Counter(shown.item.kind for shown in _served(state, rater)))


def _behind(state: State, rater: Rater, served: Counter[str]) -> list[str]:
    plan, found = _plan(state), []
    for kind, rate in (("gold", plan.gold_rate), ("trap", plan.trap_rate), ("anchor", plan.anchor_rate)):
        if rate > 0:
            block, position = divmod(served.total(), round(1 / rate))
            place = int(round(1 / rate) * fraction(plan.seed, rater.id, kind, block))
            if served[kind] < block + (position >= place):
                found.append(kind)
    return found


def has_room(state: State, item: Item, rater: str, now: float, plan: str | None = None) -> bool:
    """Whether one more rating of an item by this rater is wanted in a round (None: the current one)."""
    return item.overlap is None or state.taken(item, now, but=rater, plan=plan) < item.overlap + item.spare


def count_left(state: State, rater: Rater, now: float) -> int:
    """How many items will come if nobody else rates, known ones among them: it falls by one with each, of any kind."""
    served = _served(state, rater)
    given = {shown.item.id for shown in served}
    waiting = [s for s in served if s.status == "open" and has_room(state, s.item, rater.id, now)]
    free = {k: len([i for i in _candidates(state, rater, now, k) if i.id not in given]) for k in SERVED_KINDS}
    kinds, before = [shown.item.kind for shown in served], len(served)
    counts: Counter[str] = Counter(kinds)
    while free["rating"] + free["comparison"] + free["anchor"]:
        due = [k for k in _behind(state, rater, counts) if free[k]]
        kind = due[0] if due else next(k for k in ("rating", "comparison", "anchor") if free[k])
        free[kind] -= 1
        counts[kind] += 1
    return counts.total() - before + len(waiting)


def _plan(state: State) -> Plan:
    assert state.plan is not None
    return state.plan


def _served(state: State, rater: Rater) -> list[Presentation]:
    """What the rater was given in this round, training aside."""
    own = state.of_rater.get(rater.id, ())
    return [shown for shown in own if shown.plan == _plan(state).name and shown.item.kind != "training"]


def _candidates(state: State, rater: Rater, now: float, *kinds: str) -> list[Item]:
    plan = _plan(state)
    closed = {shown.item.id for shown in _served(state, rater) if shown.status != "open"}
    items = (i for i in plan.items if i.kind in kinds and i.id not in closed and _playable(state, i))
    return [item for item in items if questions_for(rater, item, plan) and has_room(state, item, rater.id, now)]


def _first(state: State, rater: Rater, now: float, items: list[Item]) -> Item:
    seed = _plan(state).seed
    return min(items, key=lambda item: (state.taken(item, now), fraction(seed, rater.id, item.id)))
