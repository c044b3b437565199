"""The app as a visitor meets it, in a real browser with a file for a microphone."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from stsmt.audio import read_audio
from stsmt.example import Task
from stsmt.requests import Request
from stsmt.translator import Translator
from tests.e2e.browser import HEALTH, MEL

pytestmark = pytest.mark.e2e  # run by `make e2e` only
Open = Callable[..., Any]
HEARD = "() => [...document.querySelectorAll('.live audio')].some(player => player.currentTime > 0)"
PLAYERS = """() => [...document.querySelectorAll('.live audio')].map(player => ({
    at: player.currentTime, of: player.duration, ready: player.readyState, network: player.networkState,
    paused: player.paused, error: player.error?.message, source: player.currentSrc}))"""
SCROLL = "() => document.documentElement.scrollWidth"


def finished(page: Any) -> None:
    """Wait until an answer is complete and has been heard."""
    page.locator(HEALTH).first.wait_for()
    try:
        page.wait_for_function(HEARD)
    except Exception as late:
        late.add_note(f"The players: {page.evaluate(PLAYERS)}")
        raise
    assert page.locator(".live").first.is_visible()
    assert page.locator(MEL).count() == 2


def test_speak_and_hear(open_page: Open) -> None:
    page = open_page()
    page.get_by_role("button", name="Record").first.click()
    page.wait_for_timeout(3000)
    page.locator("button.stop-button").first.click()
    finished(page)


def test_click_an_example_and_hear(open_page: Open, clips: list[dict[str, Any]], translator: Translator) -> None:
    page = open_page()
    for clip in (clips[0], clips[-1]):
        page.get_by_role("button", name=clip["text"], exact=True).first.click()
        page.get_by_text("Done.").first.wait_for(state="hidden")
        finished(page)
        expected = translator.run(Request(Task.STS, read_audio(clip["path"])))
        assert expected.transcript
        assert page.locator(".transcript textarea").first.input_value() == expected.transcript
        assert page.locator(".translation textarea").first.input_value() == expected.translation


def test_the_finished_sound_can_be_downloaded(open_page: Open, clips: list[dict[str, Any]]) -> None:
    page = open_page()
    page.get_by_role("button", name=clips[0]["text"], exact=True).first.click()
    finished(page)
    with page.expect_download() as download:
        page.get_by_role("button", name="Download").last.click()
    assert Path(download.value.path()).read_bytes()[:4] == b"RIFF"


def test_the_page_speaks_japanese(open_page: Open, clips: list[dict[str, Any]]) -> None:
    page = open_page(locale="ja-JP")
    for name in ("音声 → 音声", "テキスト → 音声", "音声 → テキスト", "このアプリについて"):
        assert page.get_by_role("tab", name=name).count() == 1
    assert page.locator("html").get_attribute("lang") == "ja-JP"
    page.get_by_role("button", name=clips[0]["text"], exact=True).first.click()
    finished(page)
    assert "やり直し" in page.locator(HEALTH).first.inner_text()
    words = page.locator("body").inner_text()
    assert "__i18n__" not in words
    assert "Translate" not in words


def test_the_same_question_again_is_answered_from_memory_and_heard(
    open_page: Open, clips: list[dict[str, Any]]
) -> None:
    page = open_page()
    example = page.get_by_role("button", name=clips[1]["text"], exact=True).first
    example.click()
    finished(page)
    example.click()
    page.get_by_text("repeated from memory").first.wait_for()
    finished(page)


def test_a_phone_needs_no_horizontal_scrolling(open_page: Open, clips: list[dict[str, Any]]) -> None:
    for locale, names in (("en-US", ("Compare three", "Advanced")), ("ja-JP", ("3つの翻訳", "詳細設定"))):
        page = open_page(locale=locale, width=390)
        assert page.evaluate(SCROLL) <= 390
        page.get_by_role("button", name=clips[0]["text"], exact=True).first.click()
        finished(page)
        for name in names:
            page.get_by_role("button", name=name).first.click()
        assert page.evaluate(SCROLL) <= 390


def test_a_slow_phone_hears_an_answer_that_is_all_there_at_once(open_page: Open, clips: list[dict[str, Any]]) -> None:
    for _ in range(3):  # while updates were sent as edits, half of the visits were silent
        page = open_page(width=390, slower=6)
        page.get_by_role("button", name=clips[0]["text"], exact=True).first.click()
        finished(page)


def test_a_wrong_upload_gets_a_sentence(open_page: Open, tmp_path: Path) -> None:
    (tmp_path / "notes.wav").write_text("these are notes, not sound")
    page = open_page()
    page.get_by_role("button", name="Upload file").first.click()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "notes.wav")
    page.wait_for_timeout(1000)
    page.get_by_role("button", name="Translate", exact=True).click()
    page.get_by_text("is not audio that can be read").wait_for()
    assert "Traceback" not in page.locator("body").inner_text()


def test_the_keyboard_reaches_the_button(open_page: Open) -> None:
    page = open_page()
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("() => document.activeElement.textContent.trim()") == "Translate":
            break
    page.keyboard.press("Enter")
    page.get_by_text("There is no recording").wait_for()


def test_three_ways_are_compared(open_page: Open, clips: list[dict[str, Any]]) -> None:
    page = open_page()
    page.get_by_role("button", name=clips[0]["text"], exact=True).first.click()
    finished(page)
    page.get_by_role("button", name="Compare three").click()
    page.get_by_role("button", name="Compare", exact=True).click()
    page.get_by_text("all three ways have run").wait_for()
    assert page.locator("dl.outcome").count() == 3
