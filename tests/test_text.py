"""Text is cleaned, checked and normalised alike everywhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsmt.errors import UserError
from stsmt.text import check_text, guess_language, normalise_for_display, normalise_for_scoring, speakable


@pytest.mark.parametrize(
    ("text", "language", "expected"),
    [
        ("駅は、どこ ですか？", "ja", "駅はどこですか"),
        ("ＡＢＣ コーヒー～", "ja", "abcコーヒーー"),
        ("ｺｰﾋｰ", "ja", "コーヒー"),
        ("It's  a T-shirt, isn’t it?", "en", "it's a t shirt isn't it"),
        ("'Quoted' words", "en", "quoted words"),
        ("3,000 yen", "en", "3 000 yen"),
        ("", "en", ""),
    ],
)
def test_scoring_ignores_case_width_and_punctuation(text: str, language: str, expected: str) -> None:
    assert normalise_for_scoring(text, language) == expected


@given(st.text(), st.sampled_from(["ja", "en"]))
def test_normalising_twice_changes_nothing(text: str, language: str) -> None:
    once = normalise_for_display(text)
    assert normalise_for_display(once) == once
    scored = normalise_for_scoring(text, language)
    assert normalise_for_scoring(scored, language) == scored


def test_display_keeps_punctuation_and_unifies_widths() -> None:
    assert normalise_for_display("ＡＢＣ　ﾃｽﾄ、です。\n はい！") == "ABC テスト、です。 はい！"


def test_emoji_and_invisible_characters_are_not_spoken() -> None:
    assert speakable("Hello 👩‍🚀 \u200bthere ❤️!") == "Hello there !"


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("駅はどこですか", "ja"),
        ("Where is the station?", "en"),
        ("WiFiのパスワード", "ja"),
        ("What does 愛 mean?", "en"),
        ("123 !?", None),
        ("Где вокзал?", None),
    ],
)
def test_the_script_tells_the_language(text: str, language: str | None) -> None:
    assert guess_language(text) == language


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("", "ja", "empty"),
        (" \n\t", "en", "empty"),
        ("a" * 10_000, "en", r"too long \(10000 characters\)"),
        ("bell\x07", "en", "control characters"),
        ("null\0", None, "control characters"),
        ("broken \udcff", "en", "control characters"),
        ("😀🎉", "ja", "no words"),
        ("?!…", None, "no words"),
        ("Where is it?", "ja", "looks English, not Japanese"),
        ("どこですか", "en", "looks Japanese, not English"),
        ("Где вокзал?", None, "neither Japanese nor English"),
    ],
)
def test_what_cannot_be_said_gets_a_sentence(text: str, language: str | None, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_text(text, language)


@pytest.mark.parametrize(("text", "language"), [("駅 😀", "ja"), ("110", "ja"), ("110", "en"), ("two\nlines", None)])
def test_what_can_be_said_passes(text: str, language: str | None) -> None:
    check_text(text, language)
