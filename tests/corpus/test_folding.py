"""The form in which texts are searched."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsmt.corpus.folding import search_forms, search_terms


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("ＡＢＣ", "abc"),
        ("ﾃﾞｰﾀ", "データ"),
        ("１２３", "123"),
        ("Straße", "STRASSE"),
        ("データ", "でーた"),
        ("か\u3099", "が"),
    ],
)
def test_width_case_and_kana_do_not_matter(first: str, second: str) -> None:
    assert search_forms([first], True) == search_forms([second], True)


def test_voicing_marks_matter() -> None:
    kaki, gaki, haha, papa = search_forms(["かき", "がき", "はは", "ぱぱ"], True)
    assert len({kaki, gaki, haha, papa}) == 4


def test_kana_can_be_kept_apart() -> None:
    assert search_forms(["カメラ"], False) == ["カメラ"]
    assert search_forms(["カメラ"], True) == ["かめら"]


def test_invisible_characters_hide_nothing() -> None:
    assert search_forms(["sta\u200btion\u202e \u00ad駅"], True) == ["station 駅"]


def test_words_are_split_at_any_space() -> None:
    assert search_terms(" Where　is\tthe\nstation ", True) == ["where", "is", "the", "station"]
    assert search_terms(" \n ", True) == []


@given(st.lists(st.text(max_size=30), max_size=5), st.booleans())
def test_texts_do_not_touch_each_other(texts: list[str], fold_kana: bool) -> None:
    assert search_forms(texts, fold_kana) == [search_forms([text], fold_kana)[0] for text in texts]


@given(st.text(max_size=30), st.booleans())
def test_a_form_has_itself_as_its_form(text: str, fold_kana: bool) -> None:
    once = search_forms([text], fold_kana)
    assert search_forms(once, fold_kana) == once
