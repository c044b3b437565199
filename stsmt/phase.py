"""What `stsmt.prompt` makes: a conversation as ids, and the fields of an answer one after the other."""

from dataclasses import dataclass

from stsmt.example import Field


@dataclass(frozen=True)
class Rendered:
    """Token ids of a conversation; `loss_mask` is 1 on the answer that training must learn, 0 elsewhere."""

    ids: list[int]
    loss_mask: list[int]


@dataclass(frozen=True)
class Phase:
    """One field of an answer while it is generated.

    `opening` ids precede it, the ids in `allowed` (ascending ranges) may come, `end` (a token id) closes it; so many
    `beams` are weighed.
    """

    field: Field
    opening: list[int]
    allowed: tuple[range, ...]
    end: int
    beams: int = 1

    @property
    def is_speech(self) -> bool:
        return self.field == "speech"

    @property
    def is_text(self) -> bool:
        return self.field in ("transcript", "translation")
