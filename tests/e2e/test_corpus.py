"""The Corpus tab as a visitor meets it, over the bundled pairs (or some made up)."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from stsmt.corpus.search import Corpus, open_corpus
from stsmt.settings import CORPUS
from stsmt.translator import Translator
from stsmt.ui import build_app, launch_options
from tests.corpus.conftest import index
from tests.corpus.pairs import make_pair, make_pairs

pytestmark = pytest.mark.e2e
Open = Callable[..., Any]
ROWS = ".pairs [data-pair]"
HOSTILE = (
    "<img src=x onerror=\"document.title='hacked'\"> ${document.title='hacked'} {{#each this}}x{{/each}} \u202eolleh"
)
SCROLL = "() => document.documentElement.scrollWidth"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    folder = tmp_path_factory.mktemp("corpus")
    found = open_corpus(folder / "bundled.duckdb", CORPUS)
    return found or index(folder, make_pairs(137))


def served(translator: Translator, corpus: Corpus, sent: list[list[str]]) -> Any:
    def take(ids: list[str]) -> int:
        sent.append(ids)
        return len(ids)

    app = build_app(translator, corpus=corpus, on_send=take)
    _, address, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    return app, address


@pytest.fixture(scope="module")
def sent() -> list[list[str]]:
    return []


@pytest.fixture(scope="module")
def url(translator: Translator, corpus: Corpus, sent: list[list[str]]) -> Iterator[str]:
    app, address = served(translator, corpus, sent)
    yield address
    app.close(verbose=False)


def corpus_tab(page: Any) -> Any:
    page.get_by_role("tab", name="Corpus").or_(page.get_by_role("tab", name="コーパス")).first.click()
    page.locator(ROWS).first.wait_for()
    return page


def test_search_as_you_type_open_and_hear(open_page: Open) -> None:
    page = corpus_tab(open_page())
    page.locator(".search textarea, .search input").first.press_sequentially("駅", delay=50)
    page.wait_for_function("() => new URL(location).searchParams.get('q') === '駅'")
    rows = page.locator(ROWS)
    assert all("駅" in text for text in rows.all_inner_texts())
    rows.first.click()
    page.locator(".pair-side").first.wait_for()
    assert page.locator("figure.mel:visible").count() == 2
    assert "駅" in page.locator(".prose.pair-texts").inner_text()
    assert page.evaluate("() => new URL(location).searchParams.get('pair')")


def test_a_link_brings_back_what_was_looked_at(open_page: Open, corpus: Corpus) -> None:
    row = corpus.search("駅").rows[0]
    page = open_page(query=f"?tab=corpus&q=駅&where=source_seconds+%3E+0.1&sort=-source_seconds&pair={row['id']}")
    page.locator(".pair-side").first.wait_for()
    assert row["target_text"][:20] in page.locator(".prose.pair-texts").inner_text()
    assert page.locator(".search textarea, .search input").first.input_value() == "駅"
    assert page.get_by_text("length of the source above 0.1 s").first.is_visible()


def test_the_keyboard_walks_through_the_list(open_page: Open) -> None:
    page = corpus_tab(open_page())
    page.locator(ROWS).first.focus()
    page.keyboard.press("ArrowDown")
    focused = page.evaluate("() => document.activeElement.dataset.pair")
    assert focused == page.locator(ROWS).nth(1).get_attribute("data-pair")
    page.keyboard.press("Enter")
    page.wait_for_function(f"() => new URL(location).searchParams.get('pair') === {json.dumps(focused)}")


def test_pages_turn_and_never_hold_more_than_fifty_rows(open_page: Open) -> None:
    page = corpus_tab(open_page())
    first = page.locator(ROWS).first.get_attribute("data-pair")
    assert page.locator(ROWS).count() == 50
    page.get_by_role("button", name="Next page").click()
    page.wait_for_function(f"() => document.querySelector('{ROWS}').dataset.pair !== {json.dumps(first)}")
    page.get_by_role("button", name="Previous page").click()
    page.wait_for_function(f"() => document.querySelector('{ROWS}').dataset.pair === {json.dumps(first)}")


def test_a_filter_is_added_and_removed(open_page: Open, corpus: Corpus) -> None:
    page = corpus_tab(open_page())
    page.get_by_role("button", name="Narrow down").click()
    page.get_by_role("textbox", name="Value", exact=True).fill("駅")
    page.get_by_role("button", name="Add filter").click()
    chip = page.get_by_label("text of the source contains “駅”")
    chip.wait_for()
    page.wait_for_function("() => new URL(location).searchParams.get('where')?.includes('駅')")
    chip.uncheck()
    page.wait_for_function("() => !new URL(location).searchParams.get('where')")


def test_found_pairs_are_sent_on(open_page: Open, sent: list[list[str]]) -> None:
    page = corpus_tab(open_page())
    page.get_by_role("button", name="Send these").click()
    page.get_by_text("Sent: 20 pairs.").wait_for()
    assert len(sent[-1]) == 20


def test_it_speaks_japanese_and_fits_a_phone(open_page: Open) -> None:
    page = open_page(locale="ja-JP", width=390, query="?tab=corpus")  # the tab's button hides behind "…" at this width
    page.locator(ROWS).first.wait_for()
    assert page.evaluate(SCROLL) <= 390
    page.locator(ROWS).first.click()
    page.locator(".pair-side").first.wait_for()
    for name in ("絞り込む", "分布"):
        page.get_by_role("button", name=name).first.click()
    assert page.evaluate(SCROLL) <= 390
    words = page.locator("body").inner_text()
    assert "__i18n__" not in words
    assert "corpus_" not in words


def test_hostile_text_is_only_text(chromium_with_microphone: Any, translator: Translator, tmp_path: Path) -> None:
    corpus = index(tmp_path, [make_pair(HOSTILE, HOSTILE, seed=i) for i in range(3)])
    app, address = served(translator, corpus, [])
    context = chromium_with_microphone.new_context()
    page = context.new_page()
    page.goto(address + "?tab=corpus")
    page.locator(ROWS).first.click()
    page.locator(".pair-side").first.wait_for()
    assert HOSTILE[:40] in page.locator(".prose.pair-texts").inner_text()
    assert page.locator(".pair-texts img, .pair-list img").count() == 0
    assert page.title() == "stsmt"
    context.close()
    app.close(verbose=False)


def test_the_next_pair_is_opened_and_heard(open_page: Open) -> None:
    page = corpus_tab(open_page())
    playing = "() => document.querySelector('#pair-source audio')?.currentTime > 0"
    page.locator(ROWS).first.click()
    page.locator("#pair-source audio").wait_for()
    page.wait_for_timeout(500)
    assert not page.evaluate(playing)
    for _ in range(2):
        before = page.evaluate("() => document.querySelector('#pair-source audio').src")
        page.get_by_role("button", name="Pair after").click()
        page.wait_for_function("before => document.querySelector('#pair-source audio').src !== before", arg=before)
        page.wait_for_function(playing)
