"""The index: a DuckDB file made from shards, and read with nothing but reading allowed.

It has one table `pairs` (the columns of a shard, a `number` in the order of reading, and two search columns) and
`meta`. There are no secondary indexes: a scan of a column is fast enough, and they have lost rows after crashes.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from stsmt import __version__
from stsmt.corpus.folding import search_forms
from stsmt.corpus.pairs import CODES, SCHEMA, SHORT_CODES, SIDES
from stsmt.corpus.shards import Batch, Shard
from stsmt.errors import UserError

INDEX_VERSION = 1
_TYPES = {
    pa.string(): "VARCHAR",
    pa.float64(): "DOUBLE",
    pa.int64(): "BIGINT",
    CODES: "UINTEGER[]",
    SHORT_CODES: "USMALLINT[]",
}
Progress = Callable[[int, int], None]  # pairs done, pairs in all


@dataclass(frozen=True)
class Report:
    """What an index holds. `left_out`: rows without text or language; `repeated`: rows whose id came before."""

    pairs: int
    left_out: int
    repeated: int
    not_numbers: int
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
    try:
        with _connect(part, threads=threads) as connection:
            report = _fill(connection, shards, fold_kana, progress)
        part.replace(db)
    except (duckdb.IOException, duckdb.OutOfMemoryException, OSError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"The index {db} cannot be written ({reason}).") from None
    finally:
        for rest in (part, part.with_name(part.name + ".wal")):
            rest.unlink(missing_ok=True)
    return report


def _connect(path: Path, *, threads: int, **config: Any) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(path, config={**config, **({"threads": threads} if threads else {})})


def _fill(
    connection: duckdb.DuckDBPyConnection, shards: Sequence[Shard], fold_kana: bool, progress: Progress | None
) -> Report:
    signals = {name: version for shard in shards for name, version in shard.signals.items()}
    connection.execute("BEGIN")  # as one transaction, rows go to their place at once instead of to the log first
    _create(connection, signals, CODES if any(shard.codes == CODES for shard in shards) else SHORT_CODES)
    total, rows, left_out, not_numbers = sum(shard.rows for shard in shards), 0, 0, 0
    for shard in shards:
        for batch in shard.batches():
            _insert(connection, batch, signals, rows, fold_kana)
            rows, left_out = rows + len(batch.table), left_out + batch.left_out
            not_numbers += batch.not_numbers
            if progress is not None:
                progress(rows + left_out, total)
    connection.execute("COMMIT")
    repeated = _drop_repeated(connection)
    report = Report(rows - repeated, left_out, repeated, not_numbers, signals, [shard.name for shard in shards])
    _write_meta(connection, {**vars(report), "version": INDEX_VERSION, "made_by": __version__, "fold_kana": fold_kana})
    return report


def _create(connection: duckdb.DuckDBPyConnection, signals: Mapping[str, str], codes: pa.DataType) -> None:
    columns = [f'"{f.name}" {_TYPES[codes if f.type == CODES else f.type]}' for f in SCHEMA]
    columns += [f"{side}_search VARCHAR" for side in SIDES]
    columns += [f'"{name}" DOUBLE' for name in signals]
    connection.execute(f"CREATE TABLE pairs (number BIGINT, {', '.join(columns)})")
    connection.execute("CREATE TABLE meta (key VARCHAR, value VARCHAR)")


def _insert(
    connection: duckdb.DuckDBPyConnection, batch: Batch, signals: Mapping[str, str], first: int, fold_kana: bool
) -> None:
    table, columns = batch.table, {"number": pa.array(range(first, first + len(batch.table)), pa.int64())}
    columns |= {f.name: table[f.name] for f in SCHEMA}
    columns |= {f"{side}_search": _search_column(table[f"{side}_text"], fold_kana) for side in SIDES}
    nothing = pa.nulls(len(table), pa.float64())
    columns |= {name: table[name] if name in table.column_names else nothing for name in signals}
    connection.register("batch", pa.table(columns))
    connection.execute("INSERT INTO pairs SELECT * FROM batch")
    connection.unregister("batch")


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


def _again(db: Path) -> str:
    return f"make it again with: stsmt corpus index PARQUET… --db {db}"
