"""Asking the index: pages of pairs, counts, facets, histograms, single pairs and samples of them.

Every question is a text (all of its words, in either language), filters, and an order. Pages follow each other by
keyset: the next one starts after the last row's place in the order, which `number` makes unique, so that no row is
shown twice or left out, however deep. Rows without a value in the order come last.
"""

import logging
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from stsmt.corpus.columns import Column, columns_of
from stsmt.corpus.filters import Filter, check_filters, to_sql
from stsmt.corpus.folding import search_terms
from stsmt.corpus.index import build_index, is_outdated, open_index
from stsmt.corpus.keyset import IN_ORDER, Place, Sort, parts, read_cursor, write_cursor
from stsmt.corpus.packing import unpack_codes
from stsmt.corpus.pairs import SCHEMA, SIDES, Pair, from_row
from stsmt.corpus.sources import open_shards
from stsmt.errors import UserError

log = logging.getLogger(__name__)
PAGE = 50
MAX_TEXT = 200
SHOWN = 1000  # characters of a text in a list
BINS = 24
REMEMBERED = 256  # counts
IN_LIST = ("number", "id", "source_text", "target_text", "source_language", "target_language", "source_voice",
           "target_voice", "source_seconds", "target_seconds", "split")  # fmt: skip


@dataclass(frozen=True)
class Page:
    """Rows (the columns `IN_LIST` and, as `value`, what they are sorted by) and where the next page starts."""

    rows: tuple[dict[str, Any], ...]
    cursor: str | None


@dataclass(frozen=True)
class Totals:
    """How many pairs pass and how long both of their sides are; `missing` lack a value that a filter asks about."""

    pairs: int
    hours: float
    missing: int


@dataclass(frozen=True)
class Histogram:
    """Counts per bin of equal width from `low` to `high`; what lies beyond is in the outer bins."""

    low: float
    high: float
    all: tuple[int, ...]
    selected: tuple[int, ...]
    missing: int

    def share_below(self, value: float) -> float:
        """Roughly which share of the corpus lies below a value (0..1)."""
        at = (value - self.low) / (self.high - self.low) * len(self.all) if self.high > self.low else 0.0
        at = min(max(at, 0.0), float(len(self.all)))
        whole = int(at)
        part = self.all[whole] * (at - whole) if whole < len(self.all) else 0.0
        return (sum(self.all[:whole]) + part) / max(1, sum(self.all))


class Facet(list[tuple[str | None, int]]):
    """The most frequent values of a column with their counts; `more` further values are not among them."""

    more = 0


class Corpus:
    """An index, opened for reading. Safe to use from several threads: each has a cursor of its own.

    Raises:
        UserError: if the file is missing or no index of this version.
    """

    def __init__(self, db: str | Path, threads: int = 0) -> None:
        self._connection, self.meta = open_index(Path(db), threads)
        self.signals: dict[str, str] = self.meta["signals"]
        self.columns: dict[str, Column] = columns_of(self.signals)
        self._fold_kana = bool(self.meta["fold_kana"])
        self._local, self._lock = threading.local(), threading.Lock()
        self._cursors: list[duckdb.DuckDBPyConnection] = []
        self._wholes: dict[str, Histogram | None] = {}
        self._totals: OrderedDict[tuple[str, tuple[Filter, ...]], Totals] = OrderedDict()

    def close(self) -> None:
        for connection in (*self._cursors, self._connection):
            connection.close()

    # -- pages ---------------------------------------------------------------------------------------------------

    def search(
        self,
        text: str = "",
        filters: Sequence[Filter] = (),
        sort: Sort = IN_ORDER,
        cursor: str | None = None,
        limit: int = PAGE,
    ) -> Page:
        """One page of at most 50 pairs.

        Raises:
            UserError: for filters, an order, a cursor or a text that cannot be used.
        """
        after = read_cursor(cursor, sort) if cursor else None
        found = self._places(text, filters, sort, after, min(max(limit, 1), PAGE) + 1)
        shown = found[: min(max(limit, 1), PAGE)]
        next_page = write_cursor(sort, shown[-1]) if len(found) > len(shown) else None
        return Page(tuple(self._rows(shown)), next_page)

    def _places(
        self,
        text: str,
        filters: Sequence[Filter],
        sort: Sort,
        after: Place | None,
        limit: int,
        backwards: bool = False,
    ) -> list[Place]:
        """The value and the number of each of the rows that follow a place (or precede it, nearest first)."""
        where, bound = self._where(text, filters)
        column = self._sort_column(sort)
        found: list[Place] = []
        for condition, more, order in parts(column, sort.descending, after, backwards):
            query = f"SELECT {column}, number FROM pairs WHERE {where} AND {condition} {order}"
            if len(found) < limit:
                found += self._execute(f"{query} LIMIT {limit - len(found)}", [*bound, *more]).fetchall()
        return [(value, int(number)) for value, number in found]

    def _rows(self, places: Sequence[Place]) -> Iterable[dict[str, Any]]:
        """The rows at these places: only now are their texts read."""
        if not places:
            return
        columns = ", ".join(f"left({name}, {SHOWN})" if name.endswith("_text") else name for name in IN_LIST)
        query = f"SELECT {columns} FROM pairs WHERE number IN (SELECT unnest(?))"
        cursor = self._execute(query, [[number for _, number in places]])
        rows = {row[0]: dict(zip(IN_LIST[1:], row[1:], strict=True)) for row in cursor.fetchall()}
        for value, number in places:
            yield rows[number] | {"value": value}

    def _sort_column(self, sort: Sort) -> str:
        if sort.column == "number":
            return "number"
        if sort.column not in self.columns or self.columns[sort.column].kind != "number":
            choices = [name for name, column in self.columns.items() if column.kind == "number"]
            raise UserError(f"Pairs cannot be sorted by {sort.column[:60]!r}; choose one of: {', '.join(choices)}.")
        return self.columns[sort.column].sql

    def _where(self, text: str, filters: Sequence[Filter]) -> tuple[str, list[Any]]:
        if len(text) > MAX_TEXT:
            raise UserError(f"The search text is too long ({len(text)} characters); at most {MAX_TEXT} are taken.")
        clause, bound = to_sql(check_filters(filters, self.columns), self.columns, self._fold_kana)
        for term in search_terms(text, self._fold_kana):
            clause += " AND (contains(source_search, ?) OR contains(target_search, ?))"
            bound += [term, term]
        return clause, bound

    def _execute(self, query: str, bound: Sequence[Any]) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._local, "cursor"):
            with self._lock:
                self._local.cursor = self._connection.cursor()
                self._cursors.append(self._local.cursor)
        cursor: duckdb.DuckDBPyConnection = self._local.cursor
        return cursor.execute(query, bound)

    def _one(self, query: str, bound: Sequence[Any]) -> tuple[Any, ...]:
        row = self._execute(query, bound).fetchone()
        assert row is not None
        return row

    # -- numbers -------------------------------------------------------------------------------------------------

    def count(self, text: str = "", filters: Sequence[Filter] = ()) -> Totals:
        """How many pairs pass, remembered."""
        key = (text, check_filters(filters, self.columns))
        found = self._totals.get(key) or self._count(*key)
        with self._lock:
            self._totals[key] = found
            while len(self._totals) > REMEMBERED:
                self._totals.popitem(last=False)
        return found

    def _count(self, text: str, filters: tuple[Filter, ...]) -> Totals:
        where, bound = self._where(text, filters)
        seconds = "coalesce(source_seconds, 0) + coalesce(target_seconds, 0)"
        pairs, total = self._one(f"SELECT count(*), sum({seconds}) FROM pairs WHERE {where}", bound)
        return Totals(int(pairs), float(total or 0) / 3600, self._missing(text, filters))

    def _missing(self, text: str, filters: tuple[Filter, ...]) -> int:
        """Pairs that a filter leaves out because it has nothing to look at."""
        asked = {item.column for item in filters if item.operator not in ("missing", "present")}
        columns = [self.columns[name].sql for name in sorted(asked) if self.columns[name].kind != "text"]
        if not columns:
            return 0
        where, bound = self._where(text, ())
        lacking = " OR ".join(f"{column} IS NULL" for column in columns)
        return int(self._one(f"SELECT count(*) FROM pairs WHERE {where} AND ({lacking})", bound)[0])

    def facets(
        self, columns: Iterable[str], text: str = "", filters: Sequence[Filter] = (), limit: int = 100, part: str = ""
    ) -> dict[str, Facet]:
        """The values of columns of choices that contain `part`, whatever its case, most frequent first.

        A column's own filter is left aside, so that its other values stay on offer.
        """
        asked, filtered = dict.fromkeys(columns), {item.column for item in filters}
        found = self._grouped([name for name in asked if name not in filtered], text, filters, limit, part)
        for name in filtered.intersection(asked):
            others = [item for item in filters if item.column != name]
            found |= self._grouped([name], text, others, limit, part)
        return found

    def _grouped(
        self, columns: Sequence[str], text: str, filters: Sequence[Filter], limit: int, part: str
    ) -> dict[str, Facet]:
        """Several facets at once: what the text and the filters pass is looked for only once."""
        if not columns:
            return {}
        names = [self._known(column, "choice").sql for column in columns]
        where, bound = self._where(text, filters)
        having = f"HAVING contains(lower(coalesce({', '.join(names)})), lower(?))" if part else ""  # one is no NULL
        query = f"""
            SELECT {", ".join(names)}, grouping({", ".join(names)}) AS others, count(*) AS n,
                count(*) OVER (PARTITION BY others) AS different
            FROM pairs WHERE {where}
            GROUP BY GROUPING SETS ({", ".join(f"({name})" for name in names)}) {having}
            QUALIFY row_number() OVER (PARTITION BY others ORDER BY n DESC, {", ".join(names)}) <= {limit:d}
            ORDER BY n DESC, {", ".join(names)}"""
        found = {column: Facet() for column in columns}
        last, every = len(columns) - 1, 2 ** len(columns) - 1
        place = {every ^ (1 << (last - i)): i for i in range(len(columns))}  # `others` has a bit for each other column
        for *values, others, n, different in self._execute(query, [*bound, *([part] if part else [])]).fetchall():
            facet = found[columns[place[others]]]
            facet.append((values[place[others]], int(n)))
            facet.more = int(different) - len(facet)
        return found

    def crossed(
        self,
        rows: tuple[str, Sequence[str]],
        columns: tuple[str, Sequence[str]],
        text: str = "",
        filters: Sequence[Filter] = (),
    ) -> dict[tuple[str, str], int]:
        """How many pairs have each value of one column together with each of another; absent where none has."""
        (row, row_values), (column, column_values) = rows, columns
        first, second = (self._known(name, "choice").sql for name in (row, column))
        where, bound = self._where(text, filters)
        query = f"""
            SELECT {first}, {second}, count(*) FROM pairs WHERE {where}
            AND {first} IN (SELECT unnest(?)) AND {second} IN (SELECT unnest(?)) GROUP BY ALL"""
        found = self._execute(query, [*bound, list(row_values), list(column_values)]).fetchall()
        return {(one, other): int(n) for one, other, n in found}

    def histogram(self, column: str, text: str = "", filters: Sequence[Filter] = ()) -> Histogram | None:
        """How a column of numbers is distributed in the corpus and in a selection; None if it has no values."""
        if column not in self._wholes:
            self._wholes[column] = self._whole_histogram(column)
        whole = self._wholes[column]
        if whole is None or not (text.strip() or filters):
            return whole
        where, bound = self._where(text, filters)
        selected, missing = self._bins(self._known(column, "number").sql, whole.low, whole.high, where, bound)
        return Histogram(whole.low, whole.high, whole.all, selected, missing)

    def _whole_histogram(self, column: str) -> Histogram | None:
        name = self._known(column, "number").sql
        quantiles = self._one(f"SELECT approx_quantile({name}, [0.005, 0.995]) FROM pairs", [])[0]
        if quantiles is None or quantiles[0] is None:
            return None
        low, high = (float(value) for value in quantiles)
        counts, missing = self._bins(name, low, high, "TRUE", [])
        return Histogram(low, high, counts, counts, missing)

    def _bins(self, name: str, low: float, high: float, where: str, bound: list[Any]) -> tuple[tuple[int, ...], int]:
        width = (high - low) / BINS or 1.0
        place = f"CASE WHEN {name} IS NOT NULL THEN least(greatest(floor(({name} - ?) / ?), 0), {BINS - 1}) END"
        query = f"SELECT {place} AS bin, count(*) FROM pairs WHERE {where} GROUP BY 1"
        counts = {bin: int(n) for bin, n in self._execute(query, [low, width, *bound]).fetchall()}
        return tuple(counts.get(float(i), 0) for i in range(BINS)), counts.get(None, 0)

    def describe(self, column: str, filters: Sequence[Filter] = ()) -> dict[str, float | None]:
        """The least, median (roughly) and most of a column of numbers, and how many pairs lack it."""
        name = self._known(column, "number").sql
        where, bound = self._where("", filters)
        found = f"min({name}), approx_quantile({name}, 0.5), max({name}), count(*) - count({name})"
        row = self._one(f"SELECT {found} FROM pairs WHERE {where}", bound)
        return dict(zip(("least", "median", "most", "missing"), row, strict=True))

    def _known(self, column: str, kind: str) -> Column:
        if column not in self.columns or self.columns[column].kind != kind:
            raise UserError(f"There is no column {column[:60]!r} of that kind.")
        return self.columns[column]

    # -- pairs ---------------------------------------------------------------------------------------------------

    def pair(self, id: str) -> Pair:
        """One pair with its codes.

        Raises:
            UserError: if there is none with this id.
        """
        columns = [*SCHEMA.names, *self.signals]
        names = ", ".join(f'"{name}"' for name in columns)
        row = self._execute(f"SELECT {names} FROM pairs WHERE number = ?", [self._number(id)]).fetchone()
        assert row is not None
        found = dict(zip(columns, row, strict=True))
        found |= {f"{side}_codes": unpack_codes(found[f"{side}_codes"], self.meta["code_bytes"]) for side in SIDES}
        return from_row(found, self.signals)

    def _number(self, id: str) -> int:
        found = self._execute(
            "SELECT number FROM pairs WHERE id = ? LIMIT 1", [id[:MAX_TEXT].encode(errors="replace").decode()]
        ).fetchone()
        if found is None:
            raise UserError(f"There is no pair {id[:40]!r} in this corpus.")
        return int(found[0])

    def neighbours(
        self, id: str, text: str = "", filters: Sequence[Filter] = (), sort: Sort = IN_ORDER, n: int = 1
    ) -> tuple[list[str], list[str]]:
        """The ids just before a pair in an order, nearest first, and those just after it."""
        number, column = self._number(id), self._sort_column(sort)
        value = self._one(f"SELECT {column} FROM pairs WHERE number = ?", [number])[0]
        sides = (self._places(text, filters, sort, (value, number), n, backwards) for backwards in (True, False))
        before, after = ([row["id"] for row in self._rows(places)] for places in sides)
        return before, after

    def values(self, column: str, ids: Sequence[str], kind: str | None = None) -> dict[str, Any]:
        """What a column says of each of these pairs, in their order; ids that are not here are left out.

        Raises:
            UserError: if there is no such column (or none of this kind).
        """
        if column not in self.columns or kind not in (None, self.columns[column].kind):
            usable = [name for name, known in self.columns.items() if kind in (None, known.kind)]
            raise UserError(f"There is no column {column!r} to choose by; there are: {', '.join(usable)}.")
        query = f"SELECT id, {self.columns[column].sql} FROM pairs WHERE id IN (SELECT unnest(?))"
        found = dict(self._execute(query, [list(ids)]).fetchall())
        return {id: found[id] for id in ids if id in found}

    def sample(self, filters: Sequence[Filter], n: int, seed: int, text: str = "") -> list[str]:
        """At most `n` ids of pairs that pass, drawn by the seed: the same from the same pairs, wherever they stand."""
        where, bound = self._where(text, filters)
        query = f"SELECT id FROM pairs WHERE {where} ORDER BY md5(id || ?), id LIMIT {max(0, n):d}"
        return [id for (id,) in self._execute(query, [*bound, f":{seed:d}"]).fetchall()]


def open_corpus(db: Path, bundled: Path) -> Corpus | None:
    """The index `db`; where there is none, one of the bundled shard is made first. None if there is neither.

    An index of the bundled shard is made again when that has changed or stsmt was updated.
    Where the folder may not be written, the bundled pairs are indexed in a temporary one.

    Raises:
        UserError: if `db` is no index of this version.
    """
    if db.exists() and not (bundled.is_file() and is_outdated(db, bundled)):
        return Corpus(db)
    if not bundled.is_file():
        return None
    shards = open_shards([str(bundled)])
    try:
        build_index(shards, db)
    except UserError as error:
        log.warning("%s Using a temporary one.", error)
        db = Path(tempfile.mkdtemp(prefix="stsmt-corpus-")) / "corpus.duckdb"
        build_index(shards, db)
    return Corpus(db)
