"""Filters: data to SQL, to sentences in both languages, to text and back."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsmt.corpus.columns import FIXED, KNOWN_SIGNALS, columns_of
from stsmt.corpus.filters import (
    Filter,
    check_filters,
    operators_of,
    parse_filters,
    read_filters,
    to_sentence,
    to_sql,
)
from stsmt.errors import UserError

COLUMNS = columns_of(["target_error_rate", "duration_ratio", "odd_signal"])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30).filter(str.strip)


@st.composite
def filters(draw: st.DrawFn) -> Filter:
    column = COLUMNS[draw(st.sampled_from(sorted(COLUMNS)))]
    operator = draw(st.sampled_from(operators_of(column)))
    if operator in ("missing", "present"):
        return Filter(column.name, operator)
    one = NUMBERS if column.kind == "number" else WORDS
    if operator == "between":
        return Filter(column.name, operator, (draw(one), draw(one)))  # type: ignore[arg-type]
    if operator == "in":
        return Filter(column.name, operator, tuple(draw(st.lists(WORDS, min_size=1, max_size=3))))
    return Filter(column.name, operator, draw(one))  # type: ignore[arg-type]


@given(st.lists(filters(), max_size=4))
def test_text_and_json_say_the_same(given_filters: list[Filter]) -> None:
    checked = check_filters(given_filters, COLUMNS)
    assert check_filters(parse_filters(" and ".join(map(str, checked))), COLUMNS) == checked
    assert check_filters(read_filters([item.to_json() for item in checked]), COLUMNS) == checked


@given(st.lists(filters(), max_size=4))
def test_sql_holds_no_value_and_binds_each(given_filters: list[Filter]) -> None:
    sql, bound = to_sql(check_filters(given_filters, COLUMNS), COLUMNS, True)
    assert sql.count("?") == len(bound)
    assert re.fullmatch(r'[A-Za-z_"<>=?(), ]+', sql)


@pytest.mark.parametrize(
    ("text", "english", "japanese"),
    [
        ("", "all pairs", "すべてのペア"),
        ("target_error_rate <= 20", "recogniser's error rate, translation at most 20%", "訳の認識誤り率が20%以下"),
        ("source_seconds between 1 and 2.5", "length of the source from 1 s to 2.5 s", "元の長さが1 sから2.5 sまで"),
        ("source_voice in (mei, kal)", "voice of the source is one of mei, kal", "元の声がmei・kalのいずれか"),
        ("source_voice in (mei)", "voice of the source is mei", "元の声がmei"),
        ('source_text contains "駅"', "text of the source contains “駅”", "元の文が「駅」を含む"),
        ("odd_signal is missing", "odd_signal is missing", "odd_signalがない"),
        ("split != dev and split = test", "split is not dev and split is test", "分割がdev以外、かつ分割がtest"),
    ],
)  # fmt: skip
def test_a_filter_is_a_sentence_in_both_languages(text: str, english: str, japanese: str) -> None:
    found = check_filters(parse_filters(text), COLUMNS)
    assert to_sentence(found, COLUMNS, "en") == english
    assert to_sentence(found, COLUMNS, "ja") == japanese


def test_every_operator_of_every_column_has_a_sentence() -> None:
    for column in COLUMNS.values():
        for operator in operators_of(column):
            value: Any = {"between": (1.0, 2.0), "in": ("a",), "missing": None, "present": None}.get(operator, "1")
            checked = check_filters([Filter(column.name, operator, value)], COLUMNS)
            assert column.english in to_sentence(checked, COLUMNS, "en")
            assert column.japanese in to_sentence(checked, COLUMNS, "ja")


def test_every_known_column_has_two_names() -> None:
    for column in (*FIXED.values(), *KNOWN_SIGNALS.values()):
        assert column.english.isascii()
        assert re.search(r"[\u3041-\u30ff\u4e00-\u9fff]", column.japanese)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("planted = loop", "There is no column 'planted'"),
        ("number > 3", "There is no column 'number'"),
        ("source_codes = 3", "There is no column 'source_codes'"),
        ("1=1; DROP TABLE pairs --", "where 'and' belongs"),
        ("target_error_rate contains 3", "cannot be filtered with 'contains'"),
        ("target_error_rate <= many", "compared with a number"),
        ("target_error_rate <= nan", "compared with a number"),
        ("target_error_rate <=", "ends too early"),
        ("target_error_rate between 1", "ends too early"),
        ("source_voice in (mei", "ends too early"),
        ("source_voice in (mei slt)", "closing bracket"),
        ("source_voice = mei or split = dev", "where 'and' belongs"),
        ('source_text contains ""', "compared with a text"),
    ],
)
def test_a_filter_that_makes_no_sense_gets_a_sentence(text: str, words: str) -> None:
    with pytest.raises(UserError) as caught:
        check_filters(parse_filters(text), COLUMNS)
    assert words in str(caught.value)


def one(column: Any, operator: Any, value: Any = None) -> list[dict[str, Any]]:
    return [{"column": column, "operator": operator, "value": value}]


@pytest.mark.parametrize(
    "given_json",
    [
        5,
        {"a": 1},
        [1],
        [{"column": "split"}],
        one({}, "="),
        one("split", []),
        one("split", "in", [[1]]),
        one("split", "=", "x" * 100_000),
        one("split", "=", "\ud800"),
        one("source_seconds", ">", True),
        one("source_seconds", ">", 10**400),
        one("split", "missing") * 21,
    ],
)
def test_json_of_any_shape_gets_a_sentence(given_json: Any) -> None:
    with pytest.raises(UserError):
        check_filters(read_filters(given_json), COLUMNS)


@given(st.text(max_size=60))
def test_any_text_is_a_filter_or_gets_a_sentence(text: str) -> None:
    try:
        check_filters(parse_filters(text), COLUMNS)
    except UserError as error:
        assert str(error)
