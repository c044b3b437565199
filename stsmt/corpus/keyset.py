"""Pages by keyset: an order, a place in it, what comes after that place, and the place as a cursor for strangers."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from stsmt.errors import UserError

Place = tuple[float | None, int]  # the value of the column that orders, and the row's number
# DuckDB gives rows in the order in which they came in; asked for it by name it would look at all of them before it
# gives the first page, unasked it stops when the page is full.
IN_ORDER_OF_FILLING = ""


@dataclass(frozen=True)
class Sort:
    """An order: a column of numbers, or `number` for the order of the corpus."""

    column: str = "number"
    descending: bool = False

    def __str__(self) -> str:
        return ("-" if self.descending else "") + self.column

    @classmethod
    def read(cls, text: str | None) -> "Sort":
        """From `column`, or `-column` for descending."""
        return cls(text.removeprefix("-"), text.startswith("-")) if text else cls()


IN_ORDER = Sort()


Part = tuple[str, list[Any], str]  # a condition, its bound values, an ORDER BY


def parts(column: str, descending: bool, place: Place | None, backwards: bool) -> list[Part]:
    """What comes after a place (everything for None), or before it: rows with values, then those without.

    Asking for these apart lets DuckDB skip what lies before the place; in one question it would look at every row.
    """
    down = descending != backwards
    step, way = ("<", "DESC") if down else (">", "ASC")
    further, ties = ("<", "number DESC") if backwards else (">", "number")
    if column == "number":
        condition, bound = ("TRUE", []) if place is None else (f"number {step} ?", [place[1]])
        return [(condition, bound, f"ORDER BY number {way}" if down else IN_ORDER_OF_FILLING)]
    values: Part = (f"{column} IS NOT NULL", [], f"ORDER BY {column} {way}, {ties}")
    missing: Part = (f"{column} IS NULL", [], f"ORDER BY {ties}" if backwards else IN_ORDER_OF_FILLING)
    if place is None:
        return [values, missing]
    value, number = place
    if value is None:
        rest: Part = (f"{missing[0]} AND number {further} ?", [number], missing[2])
        return [rest, values] if backwards else [rest]
    condition = f"{column} {step}= ? AND ({column} {step} ? OR number {further} ?)"
    ahead: Part = (condition, [value, value, number], values[2])
    return [ahead] if backwards else [ahead, missing]


def write_cursor(sort: Sort, place: Place) -> str:
    return base64.urlsafe_b64encode(json.dumps([str(sort), *place]).encode()).decode()


def read_cursor(cursor: str, sort: Sort) -> Place:
    try:
        order, value, number = json.loads(base64.urlsafe_b64decode(cursor.encode()))
        if order == str(sort) and 0 <= number < 2**62:
            return (None if value is None else float(value)), int(number)
    except (ValueError, TypeError, OverflowError, RecursionError, binascii.Error):
        pass
    raise UserError("The cursor does not belong to this search; start again without one.")
