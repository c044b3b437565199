"""What the listening test gives back: all that a rater may know, and nothing more."""

from dataclasses import dataclass
from typing import Any

from stsmt.listening.answers import feedback
from stsmt.listening.state import Presentation


@dataclass(frozen=True)
class Shown:
    """What a rater may know of a presentation: nothing about voice, system, signals or other ratings.

    `seconds`: the clips to hear, in order, with their lengths.
    """

    id: str
    questions: tuple[str, ...]
    seconds: dict[str, float]
    is_training: bool
    source_language: str
    target_language: str

    def to_json(self) -> dict[str, Any]:
        return {**vars(self), "questions": list(self.questions)}


@dataclass(frozen=True)
class Receipt:
    """The acknowledgement of an answer: it is on the disk. `feedback`: for training, the right scores by question."""

    presentation: str
    event: str
    feedback: dict[str, tuple[int, int]] | None = None


@dataclass(frozen=True)
class Progress:
    """How many items a rater has rated and skipped, and how many are left now."""

    rated: int
    skipped: int
    left: int


def receipt_of(shown: Presentation) -> Receipt:
    """The acknowledgement of the event that closed a presentation."""
    told = feedback(shown) if shown.item.kind == "training" else None
    return Receipt(shown.id, shown.changed_by, told)


def shown_of(shown: Presentation) -> Shown:
    """The part of a presentation that its rater may know."""
    item = shown.item
    languages = item.source_language, item.target_language
    return Shown(shown.id, shown.questions, dict(shown.seconds), item.kind == "training", *languages)
