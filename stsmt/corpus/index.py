"""The index: a DuckDB file made from shards, and read with nothing but reading allowed.

It has one table `pairs` (the columns of a shard, codes as bytes, a `number` in the order of reading, and two search
columns) and `meta`. There are no secondary indexes: a scan of a column is fast enough, and they have lost rows after
crashes.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import duckdb
import pyarrow as pa

from stsmt import __version__
from stsmt.corpus.folding import search_forms
from stsmt.corpus.packing import PACKED, code_bytes, pack_codes
from stsmt.corpus.pairs import CODES, SCHEMA, SHORT_CODES, SIDES
from stsmt.corpus.shards import Shard
from stsmt.errors import UserError

INDEX_VERSION = 3  # the first whose recordings have been looked at
T = TypeVar("T")
_TYPES = {
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    PACKED: "BLOB",
}
Progress = Callable[[int, int], None]  # pairs done, pairs in all


@dataclass(frozen=True)
class Report:
    """What an index holds. `left_out`: rows without text or language; `repeated`: rows whose id came before.

    `no_recording`: sides whose sound is missing, because the file they name lies elsewhere, is gone or is no audio.
    """

    pairs: int
    left_out: int
    repeated: int
    not_numbers: int
    no_recording: int
    signals: dict[str, str]
    sources: list[str]


# -- building --------------------------------------------------------------------------------------------------------


def build_index(
    shards: Sequence[Shard], db: Path, *, fold_kana: bool = True, threads: int = 0, progress: Progress | None = None
) -> Report:
    """Index shards into the file `db`, which appears whole or not at all; an older one stays until then.

    `threads` of 0 takes all cores.

    Raises:
        UserError: if a shard is damaged or the file cannot be written.
    """
    part = db.with_name(f".{db.name}.{os.getpid()}.part")
    _remove_abandoned(db)
    try:
        with _connect(part, threads=threads) as connection:
            report = _fill(connection, shards, fold_kana, progress)
            connection.execute("CHECKPOINT")  # closing would do it too, but says nothing when the disk is full
        part.replace(db)
    except (duckdb.Error, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"The index {db} cannot be written ({reason}).") from None
    finally:
        for rest in (part, part.with_name(part.name + ".wal")):
            rest.unlink(missing_ok=True)
    return report


def _remove_abandoned(db: Path) -> None:
    """Remove what builds that were killed have left."""
    for part in db.parent.glob(f".{db.name}.*.part*"):
        pid = part.name.removeprefix(f".{db.name}.").partition(".")[0]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            part.unlink(missing_ok=True)
        except (OSError, ValueError):
            continue  # someone else's process, or no file of ours


def _connect(path: Path, *, threads: int, **config: Any) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(path, config={**config, **({"threads": threads} if threads else {})})


def _fill(
    connection: duckdb.DuckDBPyConnection, shards: Sequence[Shard], fold_kana: bool, progress: Progress | None
) -> Report:
    feed = _Feed(shards, fold_kana, progress)
    columns = ", ".join(f'"{f.name}" {_TYPES[f.type]}' for f in feed.schema)
    connection.execute(f"CREATE TABLE pairs ({columns})")
    connection.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR)")
    connection.register("feed", pa.RecordBatchReader.from_batches(feed.schema, feed.batches()))
    try:
        connection.execute("INSERT INTO pairs SELECT * FROM feed")
    except duckdb.Error as error:
        raise (feed.error or error) from None
    repeated = _drop_repeated(connection)
    names = [shard.name for shard in shards]
    counts = (feed.left_out, repeated, feed.not_numbers, feed.no_recording)
    report = Report(feed.rows - repeated, *counts, feed.signals, names)
    made = {"version": INDEX_VERSION, "made_by": __version__, "fold_kana": fold_kana}
    _write_meta(connection, {**vars(report), **made, "code_bytes": code_bytes(feed.codes)})
    return report


class _Feed:
    """The rows of all shards as one stream, which DuckDB reads, packs and writes at the same time.

    What goes wrong on the way reaches DuckDB as a mere text; the exception itself is kept in `error`.
    """

    def __init__(self, shards: Sequence[Shard], fold_kana: bool, progress: Progress | None) -> None:
        self._shards, self._fold_kana, self._progress = shards, fold_kana, progress
        self.signals = {name: version for shard in shards for name, version in shard.signals.items()}
        self.rows = self.left_out = self.not_numbers = self.no_recording = 0
        self.error: BaseException | None = None
        self.codes = CODES if any(shard.codes == CODES for shard in shards) else SHORT_CODES
        self.schema = pa.schema(
            [
                ("number", pa.int64()),
                *(f.with_type(PACKED) if f.type == CODES else f for f in SCHEMA),
                *((f"{side}_search", pa.string()) for side in SIDES),
                *((name, pa.float64()) for name in self.signals),
            ]
        )

    def batches(self) -> Iterator[pa.RecordBatch]:
        total = sum(shard.rows for shard in self._shards)
        try:
            for table, done in _ahead(self._tables()):
                yield from table.to_batches()
                if self._progress is not None:
                    self._progress(done, total)
        except GeneratorExit:
            raise  # DuckDB reads no further because of an error of its own
        except BaseException as error:
            self.error = error
            raise

    def _tables(self) -> Iterator[tuple[pa.Table, int]]:
        """Batches in the columns of the index, each with how many rows have been read by then."""
        for batch in (batch for shard in self._shards for batch in shard.batches()):
            table = self._table(batch.table)
            self.rows, self.left_out = self.rows + len(batch.table), self.left_out + batch.left_out
            self.not_numbers += batch.not_numbers
            self.no_recording += batch.no_recording
            yield table, self.rows + self.left_out

    def _table(self, table: pa.Table) -> pa.Table:
        """A batch in the columns of the index."""
        made: dict[str, Any] = {"number": pa.array(range(self.rows, self.rows + len(table)), pa.int64())}
        made |= {f"{side}_search": _search_column(table[f"{side}_text"], self._fold_kana) for side in SIDES}
        made |= {f"{side}_codes": pack_codes(table[f"{side}_codes"].cast(self.codes)) for side in SIDES}
        made |= {name: pa.nulls(len(table), pa.float64()) for name in self.signals if name not in table.column_names}
        columns = (made[name] if name in made else table[name] for name in self.schema.names)
        return pa.table(list(columns), self.schema.names).cast(self.schema)


def _ahead(items: Iterator[T]) -> Iterator[T]:
    """The same items; the next one is made in a thread while the present one is used."""
    with ThreadPoolExecutor(1) as pool:
        coming = pool.submit(next, items, None)
        while (item := coming.result()) is not None:
            coming = pool.submit(next, items, None)
            yield item


def _search_column(texts: pa.ChunkedArray, fold_kana: bool) -> pa.Array:
    """Each different text is normalised once: corpora repeat themselves."""
    coded = texts.combine_chunks().dictionary_encode()
    forms = search_forms(coded.dictionary.to_pylist(), fold_kana)
    return pa.array(forms, pa.string()).take(coded.indices)


def _drop_repeated(connection: duckdb.DuckDBPyConnection) -> int:
    """Keep the first of the rows that share an id."""
    rows, different = _one(connection, "SELECT count(*), count(DISTINCT id) FROM pairs")
    if rows > different:
        connection.execute("DELETE FROM pairs WHERE number NOT IN (SELECT min(number) FROM pairs GROUP BY id)")
    return int(rows - different)


def _write_meta(connection: duckdb.DuckDBPyConnection, meta: Mapping[str, Any]) -> None:
    rows = [(key, json.dumps(value, ensure_ascii=False)) for key, value in meta.items()]
    connection.executemany("INSERT INTO meta VALUES (?, ?)", rows)


def _one(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row = connection.execute(query).fetchone()
    assert row is not None
    return row


# -- opening ---------------------------------------------------------------------------------------------------------


def open_index(db: Path, threads: int = 0) -> tuple[duckdb.DuckDBPyConnection, dict[str, Any]]:
    """A connection that can only read this file, and the index's meta data.

    Nothing outside the file can be reached through it, and its settings cannot be changed back.

    Raises:
        UserError: if it is missing, damaged, no index, or of another version.
    """
    if not db.is_file():
        raise UserError(f"There is no index {db}; make one with: stsmt corpus index PARQUET… --db {db}")
    safe = {"access_mode": "READ_ONLY", "enable_external_access": False, "autoload_known_extensions": False}
    try:
        connection = _connect(db, threads=threads, **safe)
        connection.execute("SET lock_configuration = true")
        meta = {key: json.loads(value) for key, value in connection.execute("FROM meta").fetchall()}
    except (duckdb.Error, ValueError):
        raise UserError(f"{db} is no corpus index, is damaged, or was made by a newer DuckDB; {_again(db)}") from None
    found = meta.get("version")
    if found != INDEX_VERSION:
        connection.close()
        age = "a newer" if isinstance(found, int) and found > INDEX_VERSION else "an older"
        raise UserError(f"The index {db} was made by {age} stsmt (version {found}, not {INDEX_VERSION}); {_again(db)}")
    return connection, meta


def is_outdated(db: Path, shard: Path) -> bool:
    """Was this index made from just that shard, by an older stsmt or before the shard changed?"""
    try:
        with _connect(db, threads=1, access_mode="READ_ONLY") as connection:
            meta = {key: json.loads(value) for key, value in connection.execute("FROM meta").fetchall()}
    except (duckdb.Error, ValueError):
        return False  # not ours to judge: opening it says what is wrong
    older = int(meta.get("version", 0)) < INDEX_VERSION
    return meta.get("sources") == [str(shard)] and (older or shard.stat().st_mtime > db.stat().st_mtime)


def _again(db: Path) -> str:
    return f"make it again with: stsmt corpus index PARQUET… --db {db}"
