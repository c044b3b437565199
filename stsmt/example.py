"""What is asked for and answered: tasks, modes, languages, the fields of an answer, and an example of all that."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal

Language = Literal["ja", "en"]
LANGUAGES: tuple[Language, ...] = ("ja", "en")
Field = Literal["hearing", "transcript", "translation", "reading", "speech"]
HEARD: tuple[Field, ...] = ("hearing", "transcript")
SILENCE = "sil"
Cue = tuple[int, str]  # before which code, and the name of the phone that follows the one spoken from there on


def other_language(language: Language) -> Language:
    """The other language of the pair."""
    return "en" if language == "ja" else "ja"


def cue_name(language: Language, phone: str) -> str:
    """The name of a phone's cue: the languages' phones are kept apart."""
    return f"{language}:{phone}"


class Task(StrEnum):
    """What is asked for: S2ST, TTS, ASR (as the field calls them) and text translation (MT)."""

    STS = "STS"
    TTS = "TTS"
    STT = "STT"
    MT = "MT"


class Mode(StrEnum):
    """How speech is translated: through text written in the same pass, or without any text."""

    CHAIN = "chain"
    DIRECT = "direct"


@dataclass(frozen=True)
class Example:
    """One request with, in training, its answer; a field that is not (yet) known is None.

    `source_*` is what the user gives, `target_*` what is asked for; languages belong to the same sides. For STT the
    answer is `source_text`; for TTS and MT the request holds `source_text`. TTS speaks its text, so both of its
    languages are the same and `target_text` stays None. `codes` are codec codes, not token ids; the cues of the target
    come in order. `source_phones` are names of cues.
    """

    task: Task
    source_language: Language
    target_language: Language
    mode: Mode = Mode.CHAIN
    voice: str | None = None
    source_text: str | None = None
    source_codes: tuple[int, ...] | None = None
    source_phones: tuple[str, ...] = ()
    target_text: str | None = None
    target_codes: tuple[int, ...] | None = None
    target_cues: tuple[Cue, ...] = ()


def answer_fields(task: Task, mode: Mode) -> tuple[Field, ...]:
    """The fields of an answer in the order in which they are generated; "hearing" and "reading" only where there are
    cues for them."""
    if task is Task.STT:
        return ("hearing", "transcript")
    if task is Task.MT:
        return ("translation",)
    if task is Task.TTS:
        return ("reading", "speech")
    return ("hearing", "reading", "speech") if mode is Mode.DIRECT else (*HEARD, "translation", "reading", "speech")
