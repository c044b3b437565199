"""Filters as data: a column, an operator and a value, which become SQL with bound values, or a sentence for people.

A value that is missing never passes a filter, whichever way round it is worded, except one that asks for `missing`.
As text a filter is `target_error_rate <= 20`; several are joined by `and`.
"""

import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stsmt.corpus.columns import Column
from stsmt.corpus.folding import search_forms
from stsmt.errors import UserError
from stsmt.example import Language

Value = str | float | tuple[str, ...] | tuple[float, ...] | None
MAX_FILTERS, MAX_CHARACTERS, MAX_CHOICES = 20, 200, 100

# operator: kinds of columns, SQL, English and Japanese words
_OPERATORS: dict[str, tuple[str, str, str, str]] = {
    "<": ("number", "{} < ?", "{} below {}", "{}が{}未満"),
    "<=": ("number", "{} <= ?", "{} at most {}", "{}が{}以下"),
    ">": ("number", "{} > ?", "{} above {}", "{}が{}を超える"),
    ">=": ("number", "{} >= ?", "{} at least {}", "{}が{}以上"),
    "=": ("number choice", "{} = ?", "{} is {}", "{}が{}"),
    "!=": ("number choice", "{} <> ?", "{} is not {}", "{}が{}以外"),
    "between": ("number", "{} BETWEEN ? AND ?", "{} from {} to {}", "{}が{}から{}まで"),
    "in": ("choice", "{} IN ({})", "{} is one of {}", "{}が{}のいずれか"),
    "contains": ("text", "contains({}, ?)", "{} contains “{}”", "{}が「{}」を含む"),
    "lacks": ("text", "NOT contains({}, ?)", "{} does not contain “{}”", "{}が「{}」を含まない"),
    "missing": ("number choice", "{} IS NULL", "{} is missing", "{}がない"),
    "present": ("number choice", "{} IS NOT NULL", "{} is there", "{}がある"),
}
_VALUES = {"between": 2, "missing": 0, "present": 0}


@dataclass(frozen=True)
class Filter:
    """One condition. `value` is a number or a string; two numbers for `between`, strings for `in`, else nothing."""

    column: str
    operator: str
    value: Value = None

    def __str__(self) -> str:
        """As `parse_filters` reads it."""
        if self.operator in ("missing", "present"):
            return f"{self.column} is {self.operator}"
        if isinstance(self.value, tuple):
            first, *rest = (_quoted(part) for part in self.value)
            if self.operator == "between":
                return f"{self.column} between {first} and {rest[0]}"
            return f"{self.column} in ({', '.join([first, *rest])})"
        return f"{self.column} {self.operator} {_quoted(self.value)}"

    def to_json(self) -> dict[str, Any]:
        value = list(self.value) if isinstance(self.value, tuple) else self.value
        return {"column": self.column, "operator": self.operator, "value": value}


def operators_of(column: Column) -> list[str]:
    """The operators that fit a column."""
    return [name for name, (kinds, *_) in _OPERATORS.items() if column.kind in kinds.split()]


# -- checking --------------------------------------------------------------------------------------------------------


def check_filters(filters: Sequence[Filter], columns: Mapping[str, Column]) -> tuple[Filter, ...]:
    """The filters with their values in the right types.

    Raises:
        UserError: if a column, an operator or a value does not fit.
    """
    if len(filters) > MAX_FILTERS:
        raise UserError(f"There are {len(filters)} filters; at most {MAX_FILTERS} are taken.")
    return tuple(_checked(item, columns) for item in filters)


def _checked(item: Filter, columns: Mapping[str, Column]) -> Filter:
    column = columns.get(item.column) if isinstance(item.column, str) else None
    if column is None:
        raise UserError(f"There is no column {_short(item.column)!r}; choose one of: {', '.join(columns)}.")
    if item.operator not in operators_of(column):
        fitting = ", ".join(operators_of(column))
        raise UserError(f"{column.name} cannot be filtered with {_short(item.operator)!r}; choose one of: {fitting}.")
    given = item.value if isinstance(item.value, list | tuple) else [item.value]
    if item.operator in ("missing", "present"):
        return Filter(item.column, item.operator)
    wanted = _VALUES.get(item.operator, 1)
    if (len(given) != wanted and item.operator != "in") or not 1 <= len(given) <= MAX_CHOICES:
        raise UserError(f"{column.name} {item.operator} needs {'two values' if wanted == 2 else 'a value'}.")
    values = tuple(_number(column, v) if column.kind == "number" else _string(column, v) for v in given)
    many = item.operator in ("in", "between")
    return Filter(item.column, item.operator, values if many else values[0])  # type: ignore[arg-type]


def _number(column: Column, value: object) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not math.isfinite(number):
        raise UserError(f"{column.name} is compared with a number, not {_short(value)!r}.")
    return number


def _string(column: Column, value: object) -> str:
    usable = isinstance(value, str) and len(value) <= MAX_CHARACTERS and not re.search("[\ud800-\udfff]", value)
    if not usable or (column.kind == "text" and not str(value).strip()):
        raise UserError(f"{column.name} is compared with a text of up to {MAX_CHARACTERS} characters.")
    return str(value)


def _short(value: object) -> str:
    return str(value)[:60]


# -- to SQL and to sentences -----------------------------------------------------------------------------------------


def to_sql(filters: Iterable[Filter], columns: Mapping[str, Column], fold_kana: bool) -> tuple[str, list[Any]]:
    """A condition on the index and its bound values; filters must be checked. TRUE for none."""
    clauses: list[str] = []
    bound: list[Any] = []
    for item in filters:
        column, pattern = columns[item.column], _OPERATORS[item.operator][1]
        wanted = _VALUES.get(item.operator, 1)
        values: list[Any] = list(item.value) if isinstance(item.value, tuple) else [item.value] * wanted
        name = column.sql
        if column.kind == "text":
            name, values = column.sql.replace("_text", "_search"), search_forms([str(item.value)], fold_kana)
        clauses.append(pattern.format(name, ", ".join("?" * len(values))))
        bound += values
    return " AND ".join(clauses) or "TRUE", bound


def to_sentence(filters: Iterable[Filter], columns: Mapping[str, Column], language: Language) -> str:
    """What passes, in words."""
    parts = [_words(item, columns[item.column], language) for item in filters]
    if not parts:
        return "すべてのペア" if language == "ja" else "all pairs"
    return "、かつ".join(parts) if language == "ja" else " and ".join(parts)


def _words(item: Filter, column: Column, language: Language) -> str:
    values: list[str] = []
    operator = (
        "=" if item.operator == "in" and isinstance(item.value, tuple) and len(item.value) == 1 else item.operator
    )
    if item.value is not None:
        given = item.value if isinstance(item.value, tuple) else (item.value,)
        values = [_with_unit(value, column) for value in given]
    if operator == "in":
        values = [("・" if language == "ja" else ", ").join(values)]
    return _OPERATORS[operator][3 if language == "ja" else 2].format(column.label(language), *values)


def _with_unit(value: object, column: Column) -> str:
    if isinstance(value, str):
        return value
    return f"{value:g}{' ' if column.unit and column.unit[0].isalpha() else ''}{column.unit}"


# -- as text ---------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r"""\s*("(?:[^"\\]|\\.)*"|<=|>=|!=|[<>=(),]|[^\s<>=!(),"]+)""")


def _quoted(value: object) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return repr(value)


def parse_filters(text: str) -> tuple[Filter, ...]:
    """Filters from text such as `target_error_rate <= 20 and source_voice in (mei, "mei-low")`.

    Raises:
        UserError: if it is not understood.
    """
    tokens, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise UserError(f"The filter is not understood at {_short(text[at:])!r}.")
        tokens.append(match[1])
        at = match.end()
    return tuple(_Tokens(tokens).filters()) if tokens else ()


@dataclass
class _Tokens:
    """What is left to read."""

    tokens: list[str]

    def filters(self) -> Iterable[Filter]:
        yield self._one()
        while self.tokens:
            self._expect("and")
            yield self._one()

    def _one(self) -> Filter:
        column, operator = self._next(), self._next().lower()
        if operator == "is":
            return Filter(column, self._next().lower())
        if operator == "between":
            low = self._value()
            self._expect("and")
            return Filter(column, operator, (low, self._value()))  # type: ignore[arg-type]
        if operator == "in":
            return Filter(column, operator, tuple(self._list()))  # type: ignore[arg-type]
        return Filter(column, operator, self._value())

    def _list(self) -> Iterable[Any]:
        self._expect("(")
        yield self._value()
        while (token := self._next()) == ",":
            yield self._value()
        if token != ")":
            raise UserError("The filter has a list without its closing bracket.")

    def _next(self) -> str:
        if not self.tokens:
            raise UserError("The filter ends too early; write it as: column operator value.")
        return self.tokens.pop(0)

    def _expect(self, word: str) -> None:
        if (found := self._next()).lower() != word:
            raise UserError(f"The filter has {_short(found)!r} where {word!r} belongs.")

    def _value(self) -> Any:
        token = self._next()
        try:
            return json.loads(token, strict=False) if token.startswith('"') else float(token)
        except ValueError:
            return token


def read_filters(given: object) -> tuple[Filter, ...]:
    """Filters from text, or from a list of objects with column, operator and value.

    Raises:
        UserError: if it is neither.
    """
    if not given:
        return ()
    if isinstance(given, str):
        return parse_filters(given)
    if not isinstance(given, list) or not all(
        isinstance(item, dict) and {"column", "operator"} <= item.keys() for item in given
    ):
        raise UserError("Filters are a text, or a list of objects with column, operator and value.")
    return tuple(Filter(item["column"], item["operator"], _tuple(item.get("value"))) for item in given)


def _tuple(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
