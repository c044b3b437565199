"""Take the README's picture from the real app: `python -m tests.e2e.screenshot [FILE]`."""

import sys
import tempfile
from pathlib import Path

import gradio as gr
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from stsmt.corpus.search import open_corpus
from stsmt.settings import BUNDLED_MODEL, CORPUS, ROOT, Settings
from stsmt.translator import Translator
from stsmt.ui import build_app, launch_options
from stsmt.ui.corpus_listening import rated_corpus
from stsmt.ui.forms import Example, read_examples
from tests.e2e.browser import HEALTH, MEL, chromium, example_folder, flags


def take(page: Page, url: str, example: Example, file: Path) -> None:
    """Translate one example and save what is seen."""
    page.goto(url)
    page.get_by_role("tab").first.wait_for(timeout=60_000)
    page.wait_for_timeout(2000)  # the network is never idle: a page with state keeps a connection
    page.get_by_role("button", name=example.text, exact=True).first.click(timeout=60_000)
    page.locator(HEALTH).first.wait_for(timeout=300_000)
    page.locator(MEL).first.wait_for()
    page.wait_for_timeout(3000)  # the sound plays to its end
    page.screenshot(path=file, full_page=True)
    with Image.open(file) as picture:  # a third of the size, and no difference to see
        picture.convert("RGB").quantize(128, dither=Image.Dither.NONE).save(file, optimize=True)


def whole_app(folder: Path, spare: Path) -> gr.Blocks:
    """All tabs, with a fresh index and no ratings."""
    translator, corpus = Translator.load(BUNDLED_MODEL), open_corpus(spare / "corpus.duckdb", CORPUS)
    rated = {} if corpus is None else rated_corpus(corpus, translator.codec, Settings(ratings=str(spare / "ratings")))
    return build_app(translator, examples=folder, corpus=corpus, **rated)


def main(file: Path) -> None:
    """Start the app on the bundled model, translate the first Japanese example, save the picture."""
    with tempfile.TemporaryDirectory() as spare, sync_playwright() as playwright:
        folder = example_folder(Path(spare))
        example = next(example for example in read_examples(folder) if example.language == "ja")
        app = whole_app(folder, Path(spare))
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, allowed_paths=[str(folder)], **launch_options())
        browser = playwright.chromium.launch(executable_path=chromium(), args=flags(example.file))
        take(browser.new_page(viewport={"width": 1280, "height": 800}, locale="en-US"), url, example, file)
        browser.close()
        app.close(verbose=False)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "assets" / "screenshots" / "sts.png")
