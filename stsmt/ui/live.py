"""The three live tabs: speech to speech (with its comparison), text to speech, speech to text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from stsmt.audio import read_audio
from stsmt.example import LANGUAGES, Language, Mode
from stsmt.requests import Request
from stsmt.ui import forms
from stsmt.ui.answer import Panel, Updates, panel, show, stage
from stsmt.ui.compare import compare_section
from stsmt.ui.forms import AUTOMATIC, PRIVATE, Example, shown_errors
from stsmt.ui.streaming import Memory, pcm
from stsmt.ui.strings import label, visitor_language


@dataclass(frozen=True)
class Studio:
    """What the tabs share: the translator behind its memory, voices, default mode, examples, streaming or not, and how
    many answers are made at once."""

    memory: Memory
    voices: dict[str, Language]
    default_mode: Mode
    examples: list[Example]
    streams: bool
    at_once: int = 1

    @property
    def line(self) -> dict[str, Any]:
        """In which everything that asks the model waits its turn."""
        return {"concurrency_id": "model", "concurrency_limit": self.at_once}


# -- inputs ----------------------------------------------------------------------------------------------------------


def language_choice(key: str) -> gr.Radio:
    """Automatic, Japanese or English."""
    return gr.Radio([(label(value), value) for value in (AUTOMATIC, *LANGUAGES)], value=AUTOMATIC, label=label(key))


def voice_choice(studio: Studio) -> gr.Dropdown:
    """All voices; the chosen language narrows them (`narrow_voices`)."""
    return gr.Dropdown(_voices(studio, None), value=AUTOMATIC, label=label("voice"))


def _voices(studio: Studio, language: Language | None) -> list[tuple[Any, str]]:
    named = [(f"{name} · {of.upper()}", name) for name, of in studio.voices.items() if language in (None, of)]
    return [(label(AUTOMATIC), AUTOMATIC), *named]


def narrow_voices(studio: Studio, language: gr.Radio, voice: gr.Dropdown) -> None:
    """Offer only voices of the chosen language."""

    def narrowed(value: str) -> Any:
        return gr.update(choices=_voices(studio, forms.language_of(value)), value=AUTOMATIC)

    language.change(narrowed, language, voice, queue=False, **PRIVATE)


def seed_choice() -> gr.Number:
    return gr.Number(0, label=label("seed"), info=label("seed_info"), precision=0, minimum=0)


def microphone() -> gr.Audio:
    """Microphone or upload; the file comes as it is, so that our own reader judges it."""
    return gr.Audio(sources=["microphone", "upload"], type="filepath", label=label("source"), buttons=[])


def buttons(key: str) -> tuple[gr.Button, gr.Button, gr.HTML]:
    """The tab's main button, Cancel, and below them what is being done."""
    with gr.Row():
        go = gr.Button(label(key), variant="primary", scale=3, min_width=160)
        cancel = gr.Button(label("cancel"), scale=1, min_width=80)
    return go, cancel, gr.HTML("", elem_classes="quiet")


def example_clips(examples: list[Example]) -> gr.Dataset | None:
    """The clips' texts as buttons."""
    if not examples:
        return None
    samples = [[example.text] for example in examples]
    return gr.Dataset(
        components=["textbox"], samples=samples, type="index", label=label("examples"), samples_per_page=20
    )


# -- running ---------------------------------------------------------------------------------------------------------


def answering(
    studio: Studio, into: Panel, first_stage: str, make: Callable[..., Request]
) -> Callable[..., Iterator[Updates]]:
    """A handler: form values to a request (by `make`), its answer to updates of the panel."""

    def handler(visitor: gr.Request, *values: Any) -> Iterator[Updates]:
        language = visitor_language(visitor)
        yield into.cleared(stage(first_stage, language))
        try:
            with shown_errors(language):
                request = make(*values)
                remembered = studio.memory.knows(request)
                yield from show(studio.memory.stream(request), into, request.audio, language, remembered)
        except gr.Error:
            yield into.cleared("")
            raise

    return handler


@dataclass(frozen=True)
class Tab:
    """What of a tab takes part in running it: its form, what starts it, what cancels it, and its examples."""

    inputs: list[Component]
    triggers: list[Any]
    cancel: gr.Button
    examples: gr.Dataset | None
    load_example: Callable[[int], Any]


def connect(tab: Tab, handler: Callable[..., Iterator[Updates]], into: Panel, line: dict[str, Any]) -> None:
    """Run `handler` on each trigger and on each example; Cancel ends it and clears the status."""
    options: dict[str, Any] = {"inputs": tab.inputs, "outputs": into.outputs, **PRIVATE, **line}
    running = [gr.on(tab.triggers, handler, trigger_mode="once", **options)]
    if tab.examples is not None:
        loaded = tab.examples.click(tab.load_example, tab.examples, tab.inputs[0], queue=False, **PRIVATE)
        running.append(loaded.success(handler, **options))
    tab.cancel.click(lambda: "", outputs=into.status, cancels=running, queue=False, **PRIVATE)


# -- tabs ------------------------------------------------------------------------------------------------------------


def speech_to_speech(studio: Studio) -> None:
    """Speak, see what was understood and its translation, hear it; compare three ways of getting there."""
    with gr.Row(equal_height=False, elem_classes="studio"):
        with gr.Column(min_width=300):
            source, examples, to = microphone(), example_clips(studio.examples), language_choice("to")
            with gr.Accordion(label("advanced"), open=False):
                modes = [(label(mode), str(mode)) for mode in Mode]
                mode = gr.Radio(modes, value=str(studio.default_mode), label=label("mode"), info=label("mode_info"))
                voice, seed = voice_choice(studio), seed_choice()
            go, cancel, status = buttons("translate")
        with gr.Column(min_width=300):
            into = panel(status, ("transcript", "translation"), speech=True, streams=studio.streams)
    inputs: list[Component] = [source, to, mode, voice, seed]
    tab = Tab(inputs, [go.click, source.stop_recording], cancel, examples, clip_loader(studio))
    connect(tab, answering(studio, into, "stage_start", forms.sts_request), into, studio.line)
    narrow_voices(studio, to, voice)
    compare_section(studio.memory, inputs, {**PRIVATE, **studio.line})


def text_to_speech(studio: Studio) -> None:
    """Type a sentence and hear it."""
    with gr.Row(equal_height=False, elem_classes="studio"):
        with gr.Column(min_width=300):
            text = gr.Textbox(label=label("text"), placeholder=label("text_placeholder"), lines=3)
            examples = example_clips(studio.examples)
            language = language_choice("language")
            with gr.Accordion(label("advanced"), open=False):
                voice, seed = voice_choice(studio), seed_choice()
            go, cancel, status = buttons("speak")
        with gr.Column(min_width=300):
            into = panel(status, (), speech=True, streams=studio.streams)
    tab = Tab([text, language, voice, seed], [go.click, text.submit], cancel, examples, text_loader(studio))
    connect(tab, answering(studio, into, "stage_read", forms.tts_request), into, studio.line)
    narrow_voices(studio, language, voice)


def speech_to_text(studio: Studio) -> None:
    """Speak and read it."""
    with gr.Row(equal_height=False, elem_classes="studio"):
        with gr.Column(min_width=300):
            source, examples, language = microphone(), example_clips(studio.examples), language_choice("language")
            go, cancel, status = buttons("transcribe")
        with gr.Column(min_width=300):
            into = panel(status, ("transcript",), speech=False, streams=studio.streams)
    tab = Tab([source, language], [go.click, source.stop_recording], cancel, examples, clip_loader(studio))
    connect(tab, answering(studio, into, "stage_start", forms.stt_request), into, studio.line)


def clip_loader(studio: Studio) -> Callable[[int], Any]:
    """From an example's index to its sound (as samples: for a file, Gradio would ask ffprobe)."""
    return lambda index: pcm(read_audio(studio.examples[index].file))


def text_loader(studio: Studio) -> Callable[[int], Any]:
    """From an example's index to its text."""
    return lambda index: studio.examples[index].text
