"""The handlers of the page itself, run without a browser on the tiny checkpoint."""

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gradio as gr
import pytest

from stsmt.example import Mode
from stsmt.translator import Translator
from stsmt.ui import forms
from stsmt.ui.answer import Panel, panel
from stsmt.ui.compare import WAYS, cell, comparing
from stsmt.ui.forms import read_examples
from stsmt.ui.live import Studio, answering, clip_loader, text_loader
from stsmt.ui.streaming import Memory


def visitor(language: str) -> Any:
    return SimpleNamespace(headers={"accept-language": language})


@pytest.fixture
def studio(translator: Translator, examples: Path) -> Studio:
    prompt = translator.prompt
    return Studio(Memory(translator), dict(prompt.voices), Mode.CHAIN, read_examples(examples), streams=True)


@pytest.fixture
def into() -> Panel:
    with gr.Blocks():
        return panel(gr.HTML(""), ("transcript", "translation"), speech=True, streams=True)


@pytest.mark.parametrize(("language", "done"), [("en", "Done."), ("ja", "できました。")])
def test_a_clip_is_answered_in_the_language_of_the_visitor(
    studio: Studio, into: Panel, examples: Path, language: str, done: str
) -> None:
    handler = answering(studio, into, "stage_start", forms.sts_request)
    shown = list(handler(visitor(language), str(examples / "en.wav"), "ja", "chain", "auto", 0))
    assert done in shown[-1][into.status]
    assert any(isinstance(update.get(into.live), tuple) for update in shown)
    assert "<li>" in shown[-1][into.health]


def test_an_error_clears_the_panel(studio: Studio, into: Panel) -> None:
    stream = answering(studio, into, "stage_start", forms.sts_request)(visitor("ja"), None, "ja", "chain", "auto", 0)
    shown = []
    with pytest.raises(gr.Error, match="まだ音声がありません"):
        for update in stream:
            shown.append(update)
    assert shown[-1][into.status] == ""


def test_markup_of_a_visitor_is_shown_as_text(studio: Studio, into: Panel, examples: Path) -> None:
    handler = answering(studio, into, "stage_start", forms.sts_request)
    with pytest.raises(gr.Error, match="&lt;b&gt;"):
        list(handler(visitor("en"), str(examples / "en.wav"), "ja", "chain", "<b>", 0))


def test_three_ways_fill_three_cells(studio: Studio, examples: Path) -> None:
    with gr.Blocks():
        status, cells = gr.HTML(""), [cell(way) for way in WAYS]
    handler = comparing(studio.memory, status, cells)
    shown = list(handler(visitor("en"), str(examples / "en.wav"), "ja", "chain", "auto", 0))
    assert [update[status].count("Running") for update in shown] == [1, 1, 1, 0]
    for (texts, _), update in zip(cells, shown[1:], strict=True):
        assert "s in all" in update[texts]


@pytest.mark.parametrize("loader", [clip_loader, text_loader])
def test_an_example_loads(studio: Studio, loader: Callable[[Studio], Callable[[int], Any]]) -> None:
    value = loader(studio)(0)
    assert value == "駅はどこですか。" or value[0] == 16000
