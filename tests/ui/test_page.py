"""What the page promises: nothing kept, nothing private in public, colours from the theme, a start anywhere."""

import importlib
import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from stsmt.translator import Translator
from stsmt.ui import STYLE, build_app, launch_options
from stsmt.ui.forms import read_examples
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
