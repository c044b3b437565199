"""What can be heard: clips of pairs, and the items that a rater is asked about."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Protocol

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.example import Language

Side = Literal["source", "target"]
Kind = Literal["rating", "comparison", "anchor", "gold", "trap", "training"]
KNOWN_KINDS = ("gold", "trap", "training")  # their answers are known: they judge or teach the rater, not the pair


class Items(Protocol):
    """The corpus, as far as the listening test needs it."""

    def pair_ids(self) -> Iterable[str]: ...

    def audio(self, pair_id: str, side: Side) -> Audio: ...

    def text(self, pair_id: str, side: Side) -> str: ...

    def language(self, pair_id: str, side: Side) -> Language: ...

    def condition(self, pair_id: str) -> str:
        """What is compared between pairs (system, voice, round …); raters never see it."""
        ...


@dataclass(frozen=True)
class PairItems:
    """`Items` from functions: a pair by its id (with `source` and `target`, each with `text` and `language`), the sound
    of a side, and what pairs are compared by."""

    ids: Callable[[], Iterable[str]]
    pair: Callable[[str], Any]
    sound: Callable[[Any, str], Audio | None]
    compared: Callable[[Any], str]

    def pair_ids(self) -> Iterable[str]:
        return self.ids()

    def audio(self, pair_id: str, side: Side) -> Audio:
        """The sound of one side.

        Raises:
            UserError: if the pair does not exist or has no sound.
        """
        audio = self.sound(self.pair(pair_id), side)
        if audio is None or not len(audio.samples):
            raise UserError("A pair without sound cannot be rated.")
        return audio

    def text(self, pair_id: str, side: Side) -> str:
        return str(getattr(self.pair(pair_id), side).text)

    def language(self, pair_id: str, side: Side) -> Language:
        language: Language = getattr(self.pair(pair_id), side).language
        return language

    def condition(self, pair_id: str) -> str:
        return self.compared(self.pair(pair_id))


def speaker_of(pair: Any) -> str:
    """What pairs are compared by: who speaks the target."""
    return " ".join(filter(None, (pair.target.model, pair.target.voice))) or "unknown"


def silent_items(pair: Callable[[str], Any]) -> PairItems:
    """Pairs to plan with, which needs no sound."""
    return PairItems(tuple, pair, lambda pair, side: None, speaker_of)


@dataclass(frozen=True)
class Clip:
    """One side of a pair; `backwards` plays it in reverse, which nobody can find natural (for traps)."""

    pair_id: str
    side: Side
    backwards: bool = False

    def sound(self, items: Items) -> Audio:
        audio = items.audio(self.pair_id, self.side)
        return Audio(audio.samples[::-1], audio.sample_rate) if self.backwards else audio


@dataclass(frozen=True)
class Item:
    """A source and one target to rate, or two to compare.

    `overlap`: how many raters are wanted (None: each rater once). `expected`: for known items, the lowest and highest
    score that pass, by question. `conditions`: one per target. `spare`: places beyond the overlap, in the stead of
    answers that do not count.
    """

    id: str
    kind: Kind
    source: Clip
    targets: tuple[Clip, ...]
    source_language: Language
    target_language: Language
    conditions: tuple[str, ...]
    overlap: int | None = 3
    expected: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    spare: int = 0

    def clip(self, name: str, swapped: bool) -> Clip:
        """What is heard as `source`, `target`, `a` or `b`; `swapped`: the second target is A."""
        if name == "source":
            return self.source
        return self.targets[int((name == "b") != swapped) if name in ("a", "b") else 0]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Item":
        clips = {"source": Clip(**data["source"]), "targets": tuple(Clip(**clip) for clip in data["targets"])}
        expected = {name: (int(low), int(high)) for name, (low, high) in data["expected"].items()}
        return cls(**{**data, **clips, "conditions": tuple(data["conditions"]), "expected": expected})


def make_item(
    items: Items,
    kind: Kind,
    pair_ids: tuple[str, ...],
    *,
    overlap: int | None = 3,
    expected: Mapping[str, tuple[int, int]] | None = None,
) -> Item:
    """An item about the targets of `pair_ids`, which share the source of the first.

    Raises:
        UserError: if there is no such pair, or two to compare have different sources or directions.
    """
    first = pair_ids[0]
    said = {(items.text(p, "source"), items.language(p, "source"), items.language(p, "target")) for p in pair_ids}
    if len(said) > 1:
        raise UserError(f"{' and '.join(pair_ids)} cannot be compared: they do not translate the same sentence.")
    return Item(
        id=":".join((kind, *pair_ids)),
        kind=kind,
        source=Clip(first, "source"),
        targets=tuple(Clip(pair_id, "target") for pair_id in pair_ids),
        source_language=items.language(first, "source"),
        target_language=items.language(first, "target"),
        conditions=tuple(items.condition(pair_id) for pair_id in pair_ids),
        overlap=overlap,
        expected=dict(expected or {}),
    )


def gold(items: Items, pair_id: str, scores: Mapping[str, int]) -> Item:
    """An item whose obvious scores are known; one step off is still right (as in ITU-T P.808)."""
    expected = {name: (max(1, score - 1), min(5, score + 1)) for name, score in scores.items()}
    return make_item(items, "gold", (pair_id,), overlap=None, expected=expected)


def training(items: Items, pair_id: str, scores: Mapping[str, int]) -> Item:
    """An item to learn the scale on; the rater is told the scores afterwards."""
    expected = {name: (score, score) for name, score in scores.items()}
    return make_item(items, "training", (pair_id,), overlap=None, expected=expected)


def trap(items: Items, pair_id: str, other_id: str) -> Item:
    """The source of one pair with the target of another, played backwards: no attentive rater gives it much."""
    whole = make_item(items, "trap", (pair_id,), overlap=None)
    expected = {"adequacy": (1, 2), "naturalness": (1, 2)}
    fields = {
        "id": f"trap:{pair_id}:{other_id}",
        "targets": (Clip(other_id, "target", backwards=True),),
        "conditions": ("trap",),
        "expected": expected,
    }
    return Item(**{**vars(whole), **fields})
