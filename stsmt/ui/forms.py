"""From what a form or an API call holds to a `Request`, and from errors to sentences for the visitor."""

import html
import json
import logging
import math
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import gradio as gr

from stsmt.audio import Audio, read_audio
from stsmt.errors import UserError
from stsmt.example import Language, Mode, Task
from stsmt.requests import Request
from stsmt.ui.strings import say, sentence

log = logging.getLogger(__name__)
AUTOMATIC = "auto"
# How the page's own events are wired: not in the API, without a progress overlay.
PRIVATE: dict[str, Any] = {"api_visibility": "private", "show_progress": "hidden"}


@dataclass(frozen=True)
class Example:
    """A bundled clip: its sound, language and words."""

    file: Path
    language: Language
    text: str


def read_examples(folder: Path) -> list[Example]:
    """The clips that `folder/examples.json` lists; none where it is missing."""
    listing = folder / "examples.json"
    if not listing.is_file():
        return []
    rows = json.loads(listing.read_text(encoding="utf-8"))
    return [Example(folder / row["file"], row["language"], row["text"]) for row in rows]


def recording(path: str | None) -> Audio:
    """The sound of an upload; its name and place on the server stay out of the messages.

    Raises:
        UserError: if there is none, or `read_audio` refuses it.
    """
    if not path:
        raise UserError("There is no recording; record or upload some speech.")
    return read_audio(Path(path).read_bytes())


def chosen(value: str | None) -> str | None:
    """What was chosen, or None for automatic."""
    return None if value in (None, "", AUTOMATIC) else str(value)


def language_of(value: str | None) -> Language | None:
    """A language (which the translator checks), or None for automatic."""
    return cast(Language | None, chosen(value))


def seed_of(value: float | None) -> int:
    """The seed; 0 where the field was emptied. What is no whole number is left for the translator to refuse."""
    if value is None:
        return 0
    return int(value) if math.isfinite(value) and value == int(value) else cast(int, value)


def sts_request(path: str | None, to: str | None, mode: str | None, voice: str | None, seed: float | None) -> Request:
    """Speech to speech."""
    way = cast(Mode | None, chosen(mode))
    return Request(
        Task.STS,
        recording(path),
        target_language=language_of(to),
        mode=way,
        voice=chosen(voice),
        seed=seed_of(seed),
    )


def tts_request(text: str | None, language: str | None, voice: str | None, seed: float | None) -> Request:
    """Text to speech."""
    spoken = language_of(language)
    return Request(Task.TTS, text=text or "", source_language=spoken, voice=chosen(voice), seed=seed_of(seed))


def stt_request(path: str | None, language: str | None) -> Request:
    """Speech to text."""
    return Request(Task.STT, recording(path), source_language=language_of(language))


@contextmanager
def shown_errors(language: Language, page: bool = True) -> Iterator[None]:
    """Turn every error into one that Gradio shows: a sentence, never a traceback.

    What is our fault goes to the log with a reference that the visitor sees. `page` escapes the sentence for HTML.
    """
    try:
        yield
    except UserError as error:
        message = sentence(str(error), language)
    except gr.Error:
        raise
    except Exception:
        reference = uuid.uuid4().hex[:8]
        log.exception("A request failed; its reference is %s", reference)
        message = say("fault", language, reference=reference)
    else:
        return
    raise gr.Error(
        html.escape(message, quote=False) if page else message, title=say("error", language), print_exception=False
    )
