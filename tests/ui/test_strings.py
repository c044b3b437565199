"""Both languages say everything, and computed sentences find the visitor's."""

import re
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stsmt.audio import Audio, check_speech, read_audio, warnings_of
from stsmt.errors import UserError
from stsmt.example import Task
from stsmt.prompt import PromptFormat
from stsmt.requests import Request, check_request
from stsmt.text import check_text
from stsmt.translator import Translator
from stsmt.ui.forms import recording
from stsmt.ui.strings import TEXTS, label, say, sentence, translations, visitor_language
from tests.conftest import make_speech

JAPANESE = re.compile(r"[\u3041-\u30ff\u4e00-\u9fff]")


@pytest.mark.parametrize("key", TEXTS)
def test_every_text_is_there_in_both_languages(key: str) -> None:
    english, japanese = TEXTS[key]
    assert english.strip()
    assert JAPANESE.search(japanese)
    assert not JAPANESE.search(english)
    assert set(re.findall(r"{\w+}", english)) == set(re.findall(r"{\w+}", japanese))


def test_labels_are_looked_up_in_the_browser() -> None:
    assert translations().translations_dict["ja"]["translate"] == "翻訳する"
    assert label("translate").key == "translate"


@pytest.mark.parametrize("key", TEXTS)
def test_japanese_markdown_keeps_its_headings_and_loses_breaks_in_sentences(key: str) -> None:
    japanese = translations().translations_dict["ja"][key]
    assert [line for line in japanese.splitlines() if line.startswith("#")] == [
        line for line in TEXTS[key][1].splitlines() if line.startswith("#")
    ]
    assert not re.search(r"^[^#\n]*[\u3041-\u9fff、]\n[\u3041-\u9fff]", japanese, re.MULTILINE)


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("ja", "ja"),
        ("ja-JP,ja;q=0.9,en-US;q=0.8", "ja"),
        ("en-US,en;q=0.9,ja;q=0.8", "en"),
        ("fr-FR, ja;q=0.5", "ja"),
        ("fr-FR", "en"),
        ("", "en"),
    ],
)
def test_the_browser_says_which_language_is_preferred(header: str, language: str) -> None:
    request: Any = SimpleNamespace(headers={"accept-language": header} if header else {})
    assert visitor_language(request) == language


def test_without_a_request_it_is_english() -> None:
    assert visitor_language(None) == "en"
    assert say("retries", "ja", count=2) == "やり直し：2回"


def silence(seconds: float) -> Audio:
    return Audio(np.zeros(round(16000 * seconds), np.float32), 16000)


def refusals(prompt: PromptFormat) -> list[Callable[[], Any]]:
    """Everything that a visitor can do wrong."""
    speech = make_speech()
    return [
        lambda: recording(None),
        lambda: read_audio(b""),
        lambda: read_audio(b"no sound at all"),
        lambda: read_audio(b"RIFF\xff\xff\x00\x00WAVEfmt "),
        lambda: check_speech(silence(0)),
        lambda: check_speech(silence(0.1)),
        lambda: check_speech(silence(1)),
        lambda: check_speech(silence(61)),
        lambda: check_speech(Audio(np.full(16000, np.nan, np.float32), 16000)),
        lambda: check_text("", None),
        lambda: check_text("a" * 1000, None),
        lambda: check_text("a\x00", None),
        lambda: check_text("🍣", None),
        lambda: check_text("Привет", None),
        lambda: check_text("Hello", "ja"),
        lambda: check_text("こんにちは", "en"),
        lambda: check_request(Request(Task.STS), prompt),
        lambda: check_request(Request(Task.TTS), prompt),
        lambda: check_request(Request(Task.STS, speech, target_language="fr"), prompt),  # type: ignore[arg-type]
        lambda: check_request(Request(Task.STS, speech, mode="x"), prompt),  # type: ignore[arg-type]
        lambda: check_request(Request(Task.STS, speech, voice="x"), prompt),
        lambda: check_request(Request(Task.STS, speech, target_language="ja", voice="slt"), prompt),
        lambda: check_request(Request(Task.STS, speech, target_language="en", voice="mei"), prompt),
        lambda: check_request(Request(Task.STS, speech, seed=-1), prompt),
    ]


def test_every_refusal_is_said_in_japanese(translator: Translator) -> None:
    for i, refusal in enumerate(refusals(translator.prompt)):
        with pytest.raises(UserError) as caught:
            refusal()
        said = sentence(str(caught.value), "ja")
        assert JAPANESE.search(said), f"{i}: {caught.value}"
        assert said.endswith(("。", "ki", "kal", "awb", "slt", "low", "high", "mei")), said
        assert sentence(str(caught.value), "en") == str(caught.value)


@pytest.mark.parametrize(
    "audio", [Audio(np.ones(16000, np.float32), 16000), Audio(make_speech(1, 8000).samples * 0.01, 8000)]
)
def test_every_warning_is_said_in_japanese(audio: Audio) -> None:
    assert warnings_of(audio)
    for warning in warnings_of(audio):
        assert JAPANESE.search(sentence(warning, "ja")), warning


def test_an_unknown_sentence_stays_as_it_is() -> None:
    assert sentence("Something new.", "ja") == "Something new."
