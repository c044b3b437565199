"""One clip through direct, chain and cascade, side by side, with the time that each took."""

import html
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.components import Component

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.example import Language, Mode, Task, other_language
from stsmt.requests import Request, Result
from stsmt.ui import forms
from stsmt.ui.answer import Updates, notices, stage
from stsmt.ui.forms import shown_errors
from stsmt.ui.streaming import Memory, pcm
from stsmt.ui.strings import label, say, sentence, visitor_language

WAYS = ("direct", "chain", "cascade")


@dataclass(frozen=True)
class Outcome:
    """What one way gave; `total` is the seconds that all its requests took; `refused` says why it ended early."""

    way: str
    transcript: str | None
    translation: str | None
    audio: Audio | None
    total: float
    results: tuple[Result, ...]
    refused: str | None = None

    @property
    def last(self) -> Result:
        return self.results[-1]

    def to_json(self) -> dict[str, Any]:
        """Texts and times; `seconds` is the length of the speech."""
        return {
            "way": self.way,
            "transcript": self.transcript,
            "translation": self.translation,
            "total": round(self.total, 3),
            "seconds": round(self.audio.seconds, 3) if self.audio is not None else 0.0,
            "end_reached": all(result.health.end_reached for result in self.results),
            "unsure": [reason for result in self.results for reason in result.unsure],
            "refused": self.refused,
        }


def outcomes(memory: Memory, request: Request) -> Iterator[Outcome]:
    """The three ways, each as soon as it is done; `request` is one for speech to speech.

    Raises:
        UserError: if the request cannot be answered.
    """
    for way in WAYS[:2]:
        result = memory.run(replace(request, mode=Mode(way)))
        yield Outcome(way, result.transcript, result.translation, result.audio, result.timing.total, (result,))
    yield _cascade(memory, request)


def _cascade(memory: Memory, request: Request) -> Outcome:
    """Three requests: recognise, translate the text, speak. It ends early where a step gives the next one nothing."""
    target = request.target_language
    spoken = request.source_language or (other_language(target) if target else None)
    heard = memory.run(Request(Task.STT, request.audio, source_language=spoken, seed=request.seed))
    results, refused = [heard], None
    to = target or other_language(heard.source_language)
    try:
        results.append(memory.run(Request(Task.MT, text=heard.text, target_language=to, seed=request.seed)))
        text = results[-1].text
        tts = Request(Task.TTS, text=text, source_language=to, voice=request.voice, seed=request.seed)
        results.append(memory.run(tts))
    except UserError as error:  # the words of one step are not fit for the next: a result of this way, no bad request
        refused = str(error)
    texts = [result.text for result in results]
    total = sum(result.timing.total for result in results)
    translation = texts[1] if len(texts) > 1 else None
    return Outcome("cascade", texts[0], translation, results[-1].audio, total, tuple(results), refused)


# -- the section of the page -----------------------------------------------------------------------------------------


def compare_section(memory: Memory, inputs: list[Component], options: dict[str, Any]) -> None:
    """A fold with a button and three columns; `inputs` are those of the speech-to-speech form."""
    with gr.Accordion(label("compare"), open=False, elem_classes="compare"):
        gr.Markdown(label("compare_info"))
        go = gr.Button(label("compare_button"))
        status = gr.HTML("", elem_classes="quiet")
        with gr.Row(equal_height=False):
            cells = [cell(way) for way in WAYS]
    outputs: list[Component] = [status, *(part for pair in cells for part in pair)]
    go.click(comparing(memory, status, cells), inputs, outputs, trigger_mode="once", **options)


def cell(way: str) -> tuple[gr.HTML, gr.Audio]:
    """A column for one way: its words and its player."""
    with gr.Column(min_width=240):
        gr.Markdown(label(f"{way}_title"))
        return gr.HTML(""), gr.Audio(interactive=False, visible=False, buttons=["download"], label=label(way))


def comparing(
    memory: Memory, status: gr.HTML, cells: list[tuple[gr.HTML, gr.Audio]]
) -> Callable[..., Iterator[Updates]]:
    def handler(visitor: gr.Request, *values: Any) -> Iterator[Updates]:
        language = visitor_language(visitor)
        yield _emptied(cells) | {status: _running(0, language)}
        try:
            with shown_errors(language):
                for i, outcome in enumerate(outcomes(memory, forms.sts_request(*values))):
                    yield _filled(cells[i], outcome, language) | {status: _running(i + 1, language)}
        except gr.Error:
            yield {status: ""}
            raise

    return handler


def _emptied(cells: list[tuple[gr.HTML, gr.Audio]]) -> Updates:
    updates: Updates = {}
    for texts, player in cells:
        updates |= {texts: "", player: gr.update(value=None, visible=False)}
    return updates


def _running(index: int, language: Language) -> str:
    if index == len(WAYS):
        return stage("compare_done", language)
    return stage("comparing", language, mode=say(WAYS[index], language))


def _filled(place: tuple[gr.HTML, gr.Audio], outcome: Outcome, language: Language) -> Updates:
    texts, player = place
    nothing = say("no_text", language) if outcome.way == "direct" else "—"
    seconds = f"{outcome.audio.seconds:.1f}" if outcome.audio is not None else "0.0"
    rows = "".join(
        f"<dt>{html.escape(say(key, language))}</dt><dd>{html.escape(text or nothing)}</dd>"
        for key, text in (("transcript", outcome.transcript), ("translation", outcome.translation))
    )
    took = html.escape(say("took", language, total=f"{outcome.total:.1f}", seconds=seconds))
    ended = f"<p>{html.escape(sentence(outcome.refused, language))}</p>" if outcome.refused else ""
    body = f'<dl class="outcome">{rows}</dl>{ended}<p class="took">{took}</p>{notices(outcome.last, language)}'
    if outcome.audio is None or not len(outcome.audio.samples):
        return {texts: body}
    return {texts: body, player: gr.update(value=pcm(outcome.audio), visible=True)}
