"""A running app and a browser for it, shared by the browser tests."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stsmt.settings import BUNDLED_MODEL
from stsmt.translator import Translator
from stsmt.ui import build_app, launch_options
from tests.e2e.browser import bundled, chromium, example_folder, flags


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """The example clips: path, language, text."""
    folder = example_folder(tmp_path_factory.mktemp("clips"))
    rows = json.loads((folder / "examples.json").read_text(encoding="utf-8"))
    return [{**row, "path": folder / row["file"]} for row in rows]


@pytest.fixture(scope="session")
def translator(tiny_checkpoint: Path) -> Translator:
    """The bundled checkpoint where there is one, else random weights."""
    return Translator.load(BUNDLED_MODEL if bundled() else tiny_checkpoint)


@pytest.fixture(scope="session")
def url(translator: Translator, clips: list[dict[str, Any]]) -> Iterator[str]:
    """A running app."""
    folder = clips[0]["path"].parent
    app = build_app(translator, examples=folder)
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[str(folder)], **launch_options())
    yield address
    app.close(verbose=False)


@pytest.fixture(scope="session")
def chromium_with_microphone(clips: list[dict[str, Any]]) -> Iterator[Any]:
    """Debian's Chromium, whose microphone plays the first Japanese clip."""
    api = pytest.importorskip("playwright.sync_api")
    program = chromium()
    if program is None:
        pytest.skip("no Chromium is installed")
    microphone = next(clip["path"] for clip in clips if clip["language"] == "ja")
    with api.sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=program, args=flags(microphone), timeout=180_000)
        yield running
        running.close()


@pytest.fixture
def open_page(chromium_with_microphone: Any, url: str) -> Iterator[Callable[..., Any]]:
    """Open the app in a browser of a given language and width, on a device so many times slower; fails on any error in
    the page's scripts."""
    contexts, faults = [], []

    def open_(locale: str = "en-US", width: int = 1280, query: str = "", slower: float = 1) -> Any:
        size = {"width": width, "height": 844}
        context = chromium_with_microphone.new_context(locale=locale, viewport=size, permissions=["microphone"])
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(60_000)
        page.on("pageerror", lambda error: faults.append(str(error)))
        context.new_cdp_session(page).send("Emulation.setCPUThrottlingRate", {"rate": slower})
        page.goto(url + query)
        page.get_by_role("tab").first.wait_for()
        page.wait_for_timeout(2000)  # the network is never idle: a page with state keeps a connection
        return page

    yield open_
    for context in contexts:
        context.close()
    assert not faults
