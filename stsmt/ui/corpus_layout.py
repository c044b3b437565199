"""The components of the Corpus tab and where they stand."""

from dataclasses import dataclass, field
from typing import Any

import gradio as gr
from gradio.components import Component

from stsmt.corpus.columns import Column
from stsmt.corpus.filters import operators_of
from stsmt.corpus.search import Corpus
from stsmt.ui.corpus_view import COVERAGE
from stsmt.ui.forms import PRIVATE
from stsmt.ui.strings import TEXTS, label

FACETS = ("source_language", "source_voice", "target_voice", "template", "split")
SEARCHED = ("source_voice", "target_voice", "template")  # facets that may have more values than a list can hold
PLOTS, MOST_PLOTS = ("source_seconds", "target_voice", "template"), 6
SEND_AT_MOST = 1000
Builder = tuple[gr.Dropdown, gr.Dropdown, gr.Textbox, gr.Button]  # column, comparison, value, and what adds the filter

# A click on a row, or Enter on it, opens it; the arrow keys walk through the rows.
LIST_SCRIPT = """
element.addEventListener('click', (event) => {
  const row = event.target.closest('[data-pair]');
  if (row) trigger('select', {pair: row.dataset.pair});
});
element.addEventListener('keydown', (event) => {
  const step = {ArrowDown: 1, ArrowUp: -1}[event.key];
  const rows = [...element.querySelectorAll('[data-pair]')], at = rows.indexOf(document.activeElement);
  if (!step || at < 0 || !rows[at + step]) return;
  event.preventDefault();
  rows[at + step].focus();
});
"""


@dataclass
class Parts:
    """The components of the tab."""

    text: gr.Textbox
    sort: gr.Dropdown
    descending: gr.Checkbox
    chips: gr.CheckboxGroup
    facets: dict[str, gr.Dropdown]
    shown: gr.Dropdown
    totals: gr.HTML
    rows: gr.HTML
    back: gr.Button
    forward: gr.Button
    charts: gr.HTML
    link: gr.Textbox
    opened: gr.State
    pages: gr.State  # the cursors of the pages before this one, and the next one's
    pair: dict[str, Component] = field(default_factory=dict)

    @property
    def form(self) -> list[Component]:
        return [self.text, self.sort, self.descending, self.chips, self.shown, self.opened, *self.facets.values()]

    @property
    def outputs(self) -> list[Component]:
        results = [self.totals, self.rows, self.back, self.forward, self.charts, self.link, self.pages]
        return [*self.form, *results, *self.pair.values()]


def column_name(column: Column) -> Any:
    """A label that the browser translates; the plain name of a signal that nobody here knows."""
    key = f"column_{column.name}"
    return label(key) if key in TEXTS else column.name


def search_side(corpus: Corpus) -> tuple[Parts, Builder]:
    """What is asked, and the list of what is found."""
    numbers = [c for c in corpus.columns.values() if c.kind == "number"]
    text = gr.Textbox(label=label("corpus_search"), placeholder=label("corpus_search_hint"), elem_classes="search")
    with gr.Row():
        order = [(label("corpus_order"), "number"), *((column_name(c), c.name) for c in numbers)]
        sort = gr.Dropdown(order, value="number", label=label("corpus_sort"), min_width=160)
        descending = gr.Checkbox(False, label=label("corpus_descending"), min_width=100)
    with gr.Accordion(label("corpus_narrow"), open=False):
        with gr.Row():
            facets = {name: _facet(corpus.columns[name]) for name in FACETS}
        builder = _builder(corpus)
    chips = gr.CheckboxGroup([], label=label("corpus_filters"), visible=False)
    totals = gr.HTML("", elem_classes="quiet")
    rows = gr.HTML("", js_on_load=LIST_SCRIPT, elem_classes="pair-list")
    with gr.Row():
        back, forward = (
            gr.Button(label(key), interactive=False, min_width=120) for key in ("corpus_previous", "corpus_next")
        )
    with gr.Accordion(label("corpus_plots"), open=False):
        plotted = [(column_name(c), c.name) for c in corpus.columns.values() if c.kind != "text"]
        plotted.append((label("corpus_coverage"), COVERAGE))
        options: dict[str, Any] = {"multiselect": True, "max_choices": MOST_PLOTS}
        shown = gr.Dropdown(plotted, value=list(PLOTS), label=label("corpus_shown"), **options)
        charts = gr.HTML("")
    link = gr.Textbox(visible="hidden", label="link")
    parts = Parts(text, sort, descending, chips, facets, shown, totals, rows, back, forward, charts, link,
                  gr.State(""), gr.State(([None], None)))  # fmt: skip
    return parts, builder


def _facet(column: Column) -> gr.Dropdown:
    return gr.Dropdown([], value=[], multiselect=True, label=column_name(column), min_width=140)


def _builder(corpus: Corpus) -> Builder:
    """Column, comparison, value and the button that makes a filter of them."""
    columns = list(corpus.columns.values())
    with gr.Row():
        names = [(column_name(c), c.name) for c in columns]
        column = gr.Dropdown(names, value=columns[0].name, label=label("corpus_column"), min_width=160)
        choices = operators_of(columns[0])
        operator = gr.Dropdown(choices, value=choices[0], label=label("corpus_operator"), min_width=90)
        value = gr.Textbox(label=label("corpus_value"), placeholder=label("corpus_value_hint"), min_width=120)
        add = gr.Button(label("corpus_add"), min_width=100)

    def fitting(name: str) -> Any:
        found = operators_of(corpus.columns[name])
        return gr.update(choices=found, value=found[0])

    column.input(fitting, column, operator, queue=False, **PRIVATE)
    return column, operator, value, add


def pair_side(rated: bool) -> dict[str, Component]:
    """One pair: texts, players, pictures, signals, origin and, if `rated`, ratings."""
    parts: dict[str, Component] = {"texts": gr.HTML("", elem_classes="pair-texts")}
    for side in ("source", "target"):
        parts[side] = gr.Audio(
            label=label(f"corpus_{side}"),
            interactive=False,
            visible="hidden",
            buttons=["download"],
            waveform_options=gr.WaveformOptions(show_recording_waveform=False),  # the spectrogram shows more
            elem_id=f"pair-{side}",
            elem_classes="clip-player",
        )
    with gr.Row():
        for key in ("before", "after"):
            parts[key] = gr.Button(label(f"corpus_{key}"), interactive=False, min_width=120)
    parts["figures"] = gr.HTML("", elem_classes="quiet")
    parts["signals"], parts["provenance"] = gr.HTML(""), gr.HTML("")
    if rated:
        parts["ratings"] = gr.HTML("")
    return parts


def send_side() -> tuple[gr.Button, gr.Button, gr.Number, gr.HTML]:
    """Buttons for what is found and for the open pair, a number, and what came of it."""
    gr.Markdown(label("corpus_send"))
    with gr.Row():
        count = gr.Number(20, label=label("corpus_send_count"), precision=0, minimum=1, maximum=SEND_AT_MOST)
        found = gr.Button(label("corpus_send_found"), min_width=120)
        pair = gr.Button(label("corpus_send_pair"), min_width=120)
    return found, pair, count, gr.HTML("", elem_classes="quiet")
