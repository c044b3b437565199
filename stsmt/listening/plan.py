"""What is to be rated: the items of a round, how often known ones come, and how items are sampled from a corpus.

Sampling functions take ids and numbers, so that any filter or signal can feed them; all are seeded.
"""

import hashlib
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from stsmt.errors import UserError
from stsmt.listening.items import Item, Items, gold, make_item, training, trap
from stsmt.listening.questions import OPTIONAL


@dataclass(frozen=True)
class Plan:
    """A round of listening.

    Rates are shares of what a rater hears (0.1: one in each ten). `lease_seconds`: how long an item is kept for a rater
    who does nothing. `training_seconds`: how long training lasts before its items come again (ITU-T P.808: an hour).
    """

    name: str
    items: tuple[Item, ...]
    optional: tuple[str, ...] = ()
    gold_rate: float = 0.1
    trap_rate: float = 0.1
    anchor_rate: float = 0.1
    lease_seconds: float = 1200.0
    training_seconds: float = 3600.0
    needs_check: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        if len({item.id for item in self.items}) != len(self.items):
            raise UserError(f"The plan {self.name} holds an item twice.")
        if not all(0 <= rate <= 0.5 for rate in (self.gold_rate, self.trap_rate, self.anchor_rate)):
            raise UserError("The rates of gold, trap and anchor items must be between 0 and 0.5.")
        if set(self.optional) - set(OPTIONAL):
            raise UserError(f"Optional questions are: {', '.join(OPTIONAL)}.")

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "items": [item.to_json() for item in self.items]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        items = tuple(Item.from_json(item) for item in data["items"])
        return cls(**{**data, "items": items, "optional": tuple(data["optional"])})


def make_plan(
    items: Items,
    name: str,
    pair_ids: Iterable[str],
    *,
    overlap: int = 3,
    double: tuple[float, int] | None = None,
    comparisons: Iterable[tuple[str, str]] = (),
    golds: Mapping[str, Mapping[str, int]] | None = None,
    trainings: Mapping[str, Mapping[str, int]] | None = None,
    anchors: Iterable[str] = (),
    traps: int = 0,
    **options: Any,
) -> Plan:
    """A plan from pair ids.

    `double`: a share of the pairs and the overlap that those get instead, to see how well raters agree without rating
    all pairs so often. `comparisons`: two targets of one source. `golds`, `trainings`: pairs with obvious scores by
    question. `anchors`: pairs that come in every round, so that rounds can be compared. `traps`: how many to make.
    """
    seed = int(options.get("seed", 0))
    chosen = list(dict.fromkeys(pair_ids))
    known = {**(golds or {}), **(trainings or {})}
    chosen = [pair_id for pair_id in chosen if pair_id not in known]
    often = set(sample(chosen, round(len(chosen) * double[0]), seed)) if double else set()
    overlaps = {pair_id: double[1] if double and pair_id in often else overlap for pair_id in chosen}
    anchored = dict.fromkeys(anchors)
    made = [make_item(items, "anchor", (pair_id,), overlap=None) for pair_id in anchored]
    made += [make_item(items, "rating", (p,), overlap=overlaps[p]) for p in chosen if p not in anchored]
    made += [make_item(items, "comparison", tuple(pair), overlap=overlap) for pair in comparisons]
    made += [gold(items, pair_id, scores) for pair_id, scores in (golds or {}).items()]
    made += [training(items, pair_id, scores) for pair_id, scores in (trainings or {}).items()]
    made += _traps(items, chosen, traps, seed)
    return Plan(name, tuple(made), **options)


def starting_plan(
    items: Items, pair_ids: Sequence[str], golds: Mapping[str, Mapping[str, int]] | None = None, count: int = 60
) -> Plan:
    """What is rated where nobody has planned anything: as many pairs of each condition, with traps.

    `golds`: pairs whose scores are obvious, by question; the first of them are practised on.
    """
    known, practice = practised(items, golds or {})
    chosen = stratified([p for p in pair_ids if p not in known and p not in practice], items.condition, count)
    return make_plan(items, "start", chosen, golds=known, trainings=practice, traps=count // 10)


# What a planted defect makes obvious: about the meaning, or about the sound, for which one language is enough.
# Not `wrong_language`: a source said again keeps all its meaning.
MEANING = {"wrong_translation": {"adequacy": 1}, "swapped_audio": {"adequacy": 1}}
SOUND = {"loop": {"naturalness": 1}, "noise": {"naturalness": 1}}
RIGHT = {"adequacy": 5}
PRACTICE = 5  # about as many as ITU-T P.808 shows before a test

Scores = Mapping[str, int]
T = TypeVar("T")


def planted_golds(planted: Iterable[tuple[str, str | None]], count: int = 20, seed: int = 0) -> dict[str, Scores]:
    """Golds from pair ids and what was planted in them (None: nothing): wrong, right and spoiled ones take turns."""
    rows, groups = sorted(planted, key=lambda row: row[0]), []
    for obvious in (MEANING, {"": RIGHT}, SOUND):
        scores = {pair_id: obvious[defect or ""] for pair_id, defect in rows if (defect or "") in obvious}
        groups.append([(pair_id, scores[pair_id]) for pair_id in sample(list(scores), count, seed)])
    return dict(taking_turns(groups)[:count])


def taking_turns(groups: Sequence[Sequence[T]]) -> list[T]:
    """The first of each group, then the second of each that has one, and so on."""
    return [group[turn] for turn in range(max(map(len, groups), default=0)) for group in groups if turn < len(group)]


def practised(items: Items, golds: Mapping[str, Scores]) -> tuple[dict[str, Scores], dict[str, Scores]]:
    """(golds, practice): the first of them are practised on, and one on sound for who understands one language only.

    At most half of the golds are taken.
    """
    sounds: dict[str, str] = {}
    for pair_id, scores in golds.items():
        if "adequacy" not in scores:
            sounds.setdefault(items.language(pair_id, "target"), pair_id)
    chosen = list(dict.fromkeys([*sounds.values(), *golds]))[: min(PRACTICE, len(golds) // 2)]
    known = {pair_id: scores for pair_id, scores in golds.items() if pair_id not in chosen}
    return known, {pair_id: golds[pair_id] for pair_id in golds if pair_id in chosen}


def _traps(items: Items, pair_ids: Sequence[str], count: int, seed: int) -> list[Item]:
    """Mismatched pairs of the same direction."""
    made: list[Item] = []
    for first in sample(pair_ids, count, seed + 1):
        direction = items.language(first, "source"), items.language(first, "target")
        others = sample([p for p in pair_ids if p != first], len(pair_ids), f"{seed}:{first}")
        same = (p for p in others if (items.language(p, "source"), items.language(p, "target")) == direction)
        other = next(same, None)
        if other is not None:
            made.append(trap(items, first, other))
    return made


# -- sampling --------------------------------------------------------------------------------------------------------


def fraction(*parts: object) -> float:
    """A number in 0..1 that looks random and depends on `parts` alone."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


def sample(pair_ids: Sequence[str], count: int, seed: object = 0) -> list[str]:
    """At most `count` ids in random order."""
    return random.Random(str(seed)).sample(pair_ids, min(count, len(pair_ids)))


def stratified(pair_ids: Sequence[str], stratum: Callable[[str], object], count: int, seed: int = 0) -> list[str]:
    """As many of each stratum as possible, `count` in all: rare strata are heard as often as common ones."""
    strata: dict[object, list[str]] = {}
    for pair_id in sample(pair_ids, len(pair_ids), seed):
        strata.setdefault(stratum(pair_id), []).append(pair_id)
    return taking_turns([strata[key] for key in sorted(strata, key=str)])[:count]


def borderline(values: Mapping[str, float | None], threshold: float, count: int) -> list[str]:
    """Those nearest to a filter's threshold, where ratings say most about it; pairs without a value never come."""
    near = {p: abs(v - threshold) for p, v in values.items() if v is not None and v == v}
    return sorted(near, key=lambda pair_id: (near[pair_id], pair_id))[:count]


def suspected(suspicions: Mapping[str, bool | None], count: int, seed: int = 0) -> list[str]:
    """Some of those that a signal suspects to be defective."""
    return sample(sorted(pair_id for pair_id, suspected in suspicions.items() if suspected), count, seed)
