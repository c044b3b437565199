"""What the page promises: nothing kept, nothing private in public, colours from the theme, a start anywhere."""

import importlib
import json
import os
import re
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
import pytest

from stsmt.translator import Translator
from stsmt.ui import STYLE, build_app, launch_options
from stsmt.ui.forms import read_examples
from stsmt.ui.page import Page
from stsmt.ui.streaming import provide_ffmpeg

ROOT = Path(__file__).resolve().parents[2]


def test_nothing_of_a_visitor_is_kept(translator: Translator) -> None:
    app = build_app(translator)
    assert launch_options()["run_history"] is False
    assert app.analytics_enabled is False
    assert app.delete_cache is not None
    assert max(app.delete_cache) <= 3600


def test_only_the_four_endpoints_are_public(translator: Translator) -> None:
    public = [fn.api_name for fn in build_app(translator).fns.values() if fn.api_visibility == "public"]
    assert public == ["sts", "tts", "stt", "compare"]


def test_whoever_asks_the_model_waits_in_one_line_of_which_some_are_answered_at_once(translator: Translator) -> None:
    asking = [fn for fn in build_app(translator, at_once=3).fns.values() if fn.concurrency_id == "model"]
    assert {fn.concurrency_limit for fn in asking} == {3}
    assert {"sts", "tts", "stt", "compare"} <= {fn.api_name for fn in asking}


def test_the_style_names_no_colour() -> None:
    assert not re.search(r"#[0-9a-fA-F]{3,8}\b|rgb|hsl", STYLE.read_text(encoding="utf-8"))


def test_a_folder_without_examples_is_fine(tmp_path: Path, examples: Path, translator: Translator) -> None:
    assert read_examples(tmp_path) == []
    assert [example.language for example in read_examples(examples)] == ["ja", "en"]
    build_app(translator, examples=tmp_path)


def test_without_ffmpeg_the_page_does_not_stream(monkeypatch: pytest.MonkeyPatch, translator: Translator) -> None:
    monkeypatch.setenv("PATH", "")
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert not provide_ffmpeg()
    players = [block for block in build_app(translator).blocks.values() if block.get_block_name() == "audio"]
    assert players
    assert not any(player.streaming for player in players)


def test_the_ffmpeg_of_a_package_is_put_on_the_path(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("imageio_ffmpeg")
    monkeypatch.setenv("PATH", "")
    assert provide_ffmpeg()
    assert Path(str(shutil.which("ffmpeg"))).name.startswith("ffmpeg")
    assert os.environ["PATH"]


def test_app_py_is_small_and_imports_without_loading_a_model() -> None:
    assert len((ROOT / "app.py").read_text(encoding="utf-8").splitlines()) < 60
    importlib.import_module("app")


def sent(url: str) -> Iterator[dict[str, Any]]:
    """What the page of a visitor is sent who starts the first handler."""
    asked = {"fn_index": 0, "data": [], "session_hash": "visitor"}
    httpx.post(f"{url}gradio_api/queue/join", json=asked).raise_for_status()
    with httpx.stream("GET", f"{url}gradio_api/queue/data?session_hash=visitor", timeout=60) as stream:
        for line in stream.iter_lines():
            if line.startswith("data:"):
                yield json.loads(line.removeprefix("data:"))


def test_an_update_never_edits_an_earlier_one_which_a_slow_page_may_still_have_to_show() -> None:
    def handler() -> Iterator[dict[Any, Any]]:
        yield {box: gr.update(value="first", visible=True), other: "a"}
        yield {box: gr.update(visible=False)}
        yield {other: "ab"}

    with Page(analytics_enabled=False) as app:
        box, other = gr.Textbox(), gr.Textbox()
        gr.Button().click(handler, outputs=[box, other])
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True)
    messages = [message["output"]["data"] for message in sent(url) if "output" in message]
    app.close(verbose=False)
    kept: dict[str, Any] = {"__type__": "update"}
    first, second, third, last = messages
    assert first == [{"value": "first", "visible": True, **kept}, "a"]
    assert second == [[["replace", [], {"visible": False, **kept}]], [["replace", [], kept]]]
    assert third == [[["replace", [], kept]], [["replace", [], "ab"]]]
    assert last == [kept, "ab"]
