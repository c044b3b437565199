"""The form of one item of the listening test: blind players, a scale for each question, flags, comment, buttons."""

import html
import json
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.components import Component

from stsmt.errors import UserError
from stsmt.example import Language
from stsmt.listening.protocol import ListeningTest, Shown
from stsmt.listening.questions import CHOICES, FLAGS, PREFERENCES, QUESTIONS, STEPS
from stsmt.listening.state import Answer
from stsmt.ui.answer import Updates
from stsmt.ui.streaming import pcm
from stsmt.ui.strings import label, say

CLIPS = ("source", "target", "a", "b")
# Hands what was heard to the server with the last input of an event.
WITH_HEARD = """(...values) => {
  values[values.length - 1] = JSON.stringify(window.stsmtListening ? window.stsmtListening.heard() : {});
  return values;
}"""


def word(key: str) -> Any:
    """A label of the listening test, in the visitor's language."""
    return label(f"listening_{key}")


def tell(key: str, language: Language, **values: Any) -> str:
    """A sentence of the listening test, in the visitor's language."""
    return say(f"listening_{key}", language, **values)


@dataclass(frozen=True)
class RatingForm:
    """The components; those that an item does not need are hidden."""

    about: gr.HTML
    players: dict[str, gr.Audio]
    scales: dict[str, gr.Radio]
    preferences: dict[str, gr.Radio]
    flags: gr.CheckboxGroup
    comment: gr.Textbox
    item: gr.Textbox
    heard: gr.Textbox
    submit: gr.Button
    skip: gr.Button
    undo: gr.Button
    report: gr.Button

    @property
    def inputs(self) -> list[Component]:
        """What an answer is read from, in the order of `read`; the last one is filled by the page (`WITH_HEARD`)."""
        return [*self.scales.values(), *self.preferences.values(), self.flags, self.comment, self.item, self.heard]

    @property
    def outputs(self) -> list[Component]:
        return [self.about, *self.players.values(), *self.inputs]

    def read(self, values: tuple[Any, ...], questions: tuple[str, ...]) -> tuple[Answer, str, Any]:
        """The answer to `questions`, the item that the page shows, and what was heard, from the values of `inputs`.

        Raises:
            UserError: if the page reports what was heard in no readable form.
        """
        names = [*self.scales, *self.preferences]
        *given, flags, comment, item, heard = values
        chosen = {name: value for name, value in zip(names, given, strict=True) if name in questions}
        scores = {name: int(value) for name, value in chosen.items() if name in self.scales and value is not None}
        choice = next((value for name, value in chosen.items() if name in self.preferences), None)
        return Answer(scores, choice, tuple(flags or ()), comment or ""), item, read_heard(heard)

    def filled(self, test: ListeningTest, rater: str, shown: Shown, language: Language) -> Updates:
        """Show an item; what was answered before (and taken back) is filled in, and the page learns what was heard."""
        before = test.answer(rater, shown.id) or Answer()
        updates: Updates = {self.about: _about(shown, language), self.flags: list(before.flags)}
        updates[self.heard] = json.dumps(test.heard(rater, shown.id))
        updates |= {self.comment: before.comment, self.item: shown.id}
        for clip, player in self.players.items():
            sound = pcm(test.sound(rater, shown.id, clip)) if clip in shown.seconds else None
            updates[player] = gr.update(value=sound, visible=sound is not None)
        for name, scale in {**self.scales, **self.preferences}.items():
            value = before.choice if name in self.preferences else before.scores.get(name)
            asked = name in shown.questions
            updates[scale] = gr.update(value=value if asked else None, visible=asked)
        return updates


def read_heard(text: str) -> Any:
    """The ranges that the page reports as JSON."""
    try:
        return json.loads(text or "{}")
    except (ValueError, RecursionError):
        raise UserError("What was played must be given as {clip: [[start, stop], …]} in seconds.") from None


def _about(shown: Shown, language: Language) -> str:
    sides = {"source": say(shown.source_language, language), "target": say(shown.target_language, language)}
    training = f"<p>{html.escape(tell('item_training', language))}</p>" if shown.is_training else ""
    return f"{training}<p>{html.escape(tell('item_direction', language, **sides))}</p>"


def rating_form() -> RatingForm:
    """Lay the form out."""
    about = gr.HTML("", elem_classes="quiet")
    with gr.Row(equal_height=False):
        players = {clip: _player(clip) for clip in CLIPS}
    scales = {name: _scale(name, [(word(f"{name}_{step}"), step) for step in reversed(STEPS)]) for name in QUESTIONS}
    preferences = {
        name: _scale(name, [(word(f"choice_{choice}"), choice) for choice in CHOICES]) for name in PREFERENCES
    }
    flags = gr.CheckboxGroup([(word(f"flag_{flag}"), flag) for flag in FLAGS], label=word("flags"))
    comment = gr.Textbox(label=word("comment"), lines=1, max_lines=4, elem_id="rating-comment")
    with gr.Row():
        submit = gr.Button(word("submit"), variant="primary", scale=3, min_width=140, elem_id="rating-submit")
        skip = gr.Button(word("skip"), scale=1, min_width=90, elem_id="rating-skip")
        undo = gr.Button(word("undo"), scale=1, min_width=90, elem_id="rating-undo")
    gr.Markdown(word("keys"), elem_classes="took")
    item, heard = gr.Textbox(visible="hidden"), gr.Textbox(visible="hidden", elem_id="heard-before")
    report = gr.Button(visible="hidden", elem_id="report-heard")
    return RatingForm(about, players, scales, preferences, flags, comment, item, heard, submit, skip, undo, report)


def _player(clip: str) -> gr.Audio:
    """The browser's own player: it tells the page which ranges were really played."""
    return gr.Audio(
        label=word(f"clip_{clip}"),
        interactive=False,
        visible=False,
        buttons=[],
        waveform_options=gr.WaveformOptions(show_recording_waveform=False),
        elem_id=f"clip-{clip}",
        elem_classes="clip",
        min_width=260,
    )


def _scale(name: str, choices: list[tuple[Any, Any]]) -> gr.Radio:
    return gr.Radio(choices, label=word(name), visible=False, elem_id=f"scale-{name}", elem_classes="scale")
