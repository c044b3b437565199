"""The listening test in a real browser: two raters, both scripted and called so, on tones instead of speech."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stsmt.listening.events import EventLog, read_events
from stsmt.listening.plan import make_plan
from stsmt.listening.protocol import ListeningTest
from stsmt.translator import Translator
from stsmt.ui import build_app, launch_options
from stsmt.ui.listening import Listening
from tests.listening.corpus import Corpus

pytestmark = pytest.mark.e2e  # run by `make e2e` only
CODE = re.compile(r"[0-9a-z]{4}(?:-[0-9a-z]{4}){3}")
SCROLL = "() => document.documentElement.scrollWidth"
# … and nothing plays: the space bar would stop it.
HEARD = """count => Object.values(window.stsmtListening.heard())
    .filter(ranges => ranges.some(([start, stop]) => stop > 0.75)).length >= count
    && [...document.querySelectorAll('#rating-form audio')].every(audio => audio.paused)"""

TICKED = """() => {
    const shown = [...document.querySelectorAll('#rating-form .clip')].filter(clip => clip.getClientRects().length);
    return shown.length && shown.every(clip => clip.classList.contains('heard'));
}"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("ratings")


@pytest.fixture(scope="module")
def url(translator: Translator, folder: Path) -> Iterator[str]:
    """An app with a listening test of three pairs and one comparison."""
    corpus = Corpus(5, seconds=0.8)
    rates: dict[str, Any] = {"gold_rate": 0.0, "trap_rate": 0.0, "anchor_rate": 0.0}
    plan = make_plan(corpus, "scripted", ["p0", "p1", "p2"], overlap=2, comparisons=[("p3", "p4")], **rates)
    app = build_app(translator, listening=Listening(ListeningTest(corpus, EventLog(folder), plan)))
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield address
    app.close(verbose=False)


Open = Callable[..., Any]


def to_tab(page: Any, name: str = "Listening test") -> Any:
    """Open the tab; on a phone it may stand in the menu of those that do not fit."""
    tab = page.get_by_role("tab", name=name)
    if not tab.first.is_visible():
        page.locator(".overflow-menu > button").first.click()
        tab = page.locator(".overflow-dropdown").get_by_text(name)
    tab.first.click()
    return page


def find_ear(page: Any) -> None:
    """The script cannot hear on which side the tone is: it tries, as a person may three times."""
    for side in ("left", "right", "left"):
        if page.locator("#rating-form").is_visible():
            return
        page.locator(f"#side-{side}").click()
        page.wait_for_timeout(2500)
    page.locator("#rating-form").wait_for()


def join(page: Any, name: str) -> str:
    """Sign in, hear the tone, say where it was; returns the resume code."""
    page.get_by_label("Name (any)").fill(name)
    page.get_by_label("Both", exact=True).check()
    page.get_by_label("I agree").check()
    page.locator("#rater-start").click()
    found = page.locator(".notice").get_by_text(CODE)
    found.wait_for()
    code = CODE.search(found.inner_text())
    assert code
    page.get_by_label("Headphones").check()
    find_ear(page)
    return code.group()


def hear_all(page: Any) -> None:
    """Play all clips with the space bar."""
    page.locator("#rating-form .clip audio").first.wait_for(state="attached")
    page.wait_for_timeout(1000)
    for number in range(page.locator("#rating-form .clip audio").count()):
        page.keyboard.press("Space")
        page.wait_for_function(HEARD, arg=number + 1)


def rate(page: Any, keys: str) -> None:
    """Answer with the keyboard and go on."""
    before = page.evaluate("() => document.querySelector('#rating-form .clip audio').src")
    for key in keys:
        page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_function(
        "before => document.querySelector('#rating-form .clip audio')?.src !== before "
        "|| !document.querySelector('#rating-form')?.getClientRects().length",
        arg=before,
    )
    page.wait_for_timeout(500)


def keys_for(page: Any, scores: str) -> str:
    return "a" if page.locator("#scale-preference").is_visible() else scores


def test_two_scripted_raters_rate_undo_resume_and_see_the_summary(open_page: Open, folder: Path) -> None:
    page = to_tab(open_page())
    code = join(page, "scripted rater 1")
    page.keyboard.press("Enter")  # nothing heard, nothing answered
    page.get_by_text("Please answer every question").or_(page.get_by_text("Please choose one of")).first.wait_for()
    hear_all(page)
    rate(page, keys_for(page, "54"))
    page.keyboard.press("u")
    page.get_by_text("0 rated").wait_for()
    page.wait_for_function(TICKED)  # what was heard stays heard
    rate(page, keys_for(page, "43"))
    page.get_by_text("1 rated").wait_for()
    hear_all(page)
    page.wait_for_timeout(1500)  # the page reports what it played soon after
    page.context.close()

    page = to_tab(open_page())
    page.get_by_role("button", name="I have a resume code").click()
    page.get_by_label("Resume code").fill(code)
    page.locator("#rater-resume").click()
    page.locator("#rating-form").wait_for()
    page.get_by_text("1 rated").wait_for()
    page.wait_for_function(TICKED)
    rate(page, keys_for(page, "32"))
    for _ in range(2):
        hear_all(page)
        rate(page, keys_for(page, "32"))
    page.get_by_text("nothing left for you to rate").wait_for()

    other = to_tab(open_page())
    join(other, "scripted rater 2")
    other.keyboard.press("s")
    other.get_by_text("1 skipped").wait_for()
    hear_all(other)
    rate(other, keys_for(other, "55"))
    other.get_by_text("1 rated, 1 skipped").wait_for()
    other.get_by_role("button", name="Results").click()
    other.locator("#results-show").click()
    other.locator(".results table").first.wait_for()
    assert other.locator(".results").get_by_text("Raters (by number, without names)").is_visible()
    kinds = [event.kind for event in read_events(folder)[0]]
    assert (kinds.count("submit"), kinds.count("undo"), kinds.count("skip")) == (6, 1, 1)


def test_a_phone_shows_it_in_japanese_without_scrolling_sideways(open_page: Open) -> None:
    page = to_tab(open_page(locale="ja-JP", width=390), "聴取テスト")
    page.get_by_label("名前（自由）").fill("自動スクリプト")
    page.get_by_label("両方", exact=True).check()
    page.get_by_label("同意").check()
    page.locator("#rater-start").click()
    page.get_by_label("ヘッドホン").check()
    assert page.evaluate(SCROLL) <= 390
    find_ear(page)
    assert page.evaluate(SCROLL) <= 390
    assert "__i18n__" not in page.locator("body").inner_text()
