"""The About tab: what the model is, what it cannot do, licences, larger models, privacy."""

import gradio as gr

from stsmt.ui.strings import label

SECTIONS = ("about_what", "about_limits", "about_licences", "about_models", "about_privacy", "about_programs")


def about(card: str) -> None:
    """Lay the tab out; `card` is the checkpoint's own description in Markdown, shown as it is."""
    for section in SECTIONS:
        gr.Markdown(label(section), elem_classes="prose-section")
    if card.strip():
        with gr.Accordion(label("card"), open=False):
            gr.Markdown(card)
