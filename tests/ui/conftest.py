"""A real Gradio server over the tiny checkpoint, shared by the tests of a module."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from stsmt.audio import write_wav
from stsmt.translator import Translator
from stsmt.ui import build_app, launch_options
from tests.conftest import make_speech


@pytest.fixture(scope="session")
def translator(tiny_checkpoint: Path) -> Translator:
    return Translator.load(tiny_checkpoint)


@pytest.fixture(scope="session")
def examples(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two clips with their texts, as `assets/examples` has them."""
    folder = tmp_path_factory.mktemp("examples")
    rows = [("ja.wav", "ja", "駅はどこですか。"), ("en.wav", "en", "Where is the station?")]
    for i, (file, _, _) in enumerate(rows):
        write_wav(folder / file, make_speech(1.0, seed=i))
    listing = [dict(zip(("file", "language", "text"), row, strict=True)) for row in rows]
    (folder / "examples.json").write_text(json.dumps(listing), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def serve(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Translator, Path | None], str]]:
    """Start apps; each call returns the address of one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        started = []

        def start(translator: Translator, examples: Path | None = None) -> str:
            app = build_app(translator, examples=examples)
            _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options())
            started.append(app)
            return url

        yield start
        for app in started:
            app.close(verbose=False)
