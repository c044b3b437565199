"""Reading shards that others made: what is wrong with one is said in a sentence, what is missing becomes NULL."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stsmt.corpus.pairs import (
    CODES,
    HIDDEN,
    REQUIRED,
    SCHEMA,
    SHORT_CODES,
    SIDES,
    SIGNAL_NAME,
    SIGNALS_KEY,
    Pair,
    from_row,
    pair_id,
    split_of,
)
from stsmt.corpus.recordings import find_recording
from stsmt.errors import UserError
from stsmt.example import LANGUAGES

BATCH_ROWS = 50_000
Mapped = str | dict[str, Any]  # the column of the shard, or {"value": …} for all rows


@dataclass(frozen=True)
class Batch:
    """Rows in the columns of `SCHEMA` and the shard's signals.

    `left_out` rows had no text or no known language; `not_numbers` values of signals were NaN or infinite;
    `no_recording` names of recordings are NULL now because nothing that may be opened goes by them.
    """

    table: pa.Table
    left_out: int
    not_numbers: int
    no_recording: int = 0


class Shard:
    """One Parquet file of pairs; `mapping` says which of its columns are which of ours.

    Its recordings must lie in `folder` (default: where the file lies; one that is no file here has none).

    Raises:
        UserError: if it cannot be opened, or a column is missing or of the wrong type.
    """

    def __init__(
        self,
        file: Any,
        mapping: Mapping[str, Mapped] | None = None,
        name: str | None = None,
        folder: Path | None = None,
    ) -> None:
        self._file: str | BinaryIO = file if hasattr(file, "read") else str(file)
        self._base = folder if hasattr(file, "read") else Path(file).parent
        self._folder = folder or self._base
        self.name, self.mapping = name or str(file), dict(mapping or {})
        with self._readable():
            self._parquet = pq.ParquetFile(self._file)
            self.schema: pa.Schema = self._parquet.schema_arrow
        self._check()

    @property
    def rows(self) -> int:
        return int(self._parquet.metadata.num_rows)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise UserError(f"{self.name} does not exist; check the path.") from None
        except (pa.ArrowException, OSError) as error:
            reason = " ".join(str(error).split())[:120]
            raise UserError(f"{self.name} cannot be read as Parquet ({reason}); make it again.") from None

    # -- columns -------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        names = self.schema.names
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise UserError(f"{self.name} has the column {twice[0]} twice; remove one.")
        self._check_mapping()
        missing = [name for name in REQUIRED if self._origin(name) is None]
        if missing:
            raise UserError(
                f"{self.name} lacks the column {missing[0]}; it has {_listed(names)}: name them with --mapping."
            )
        for wanted in SCHEMA:
            origin = self._origin(wanted.name)
            if isinstance(origin, str) and not _fits(self.schema.field(origin).type, wanted.type):
                found = self.schema.field(origin).type
                raise UserError(f"The column {origin} of {self.name} holds {found}, not {wanted.type}; convert it.")

    def _check_mapping(self) -> None:
        for ours, theirs in self.mapping.items():
            if ours not in SCHEMA.names:
                raise UserError(
                    f"The mapping names {ours!r}, which is no column of a pair; they are {_listed(SCHEMA.names)}."
                )
            if isinstance(theirs, str) and theirs not in self.schema.names:
                raise UserError(f"{self.name} has no column {theirs!r}, which the mapping wants for {ours}.")

    def _origin(self, name: str) -> Mapped | None:
        """Where a column of ours comes from."""
        return self.mapping.get(name, name if name in self.schema.names else None)

    @cached_property
    def signals(self) -> dict[str, str]:
        """Name → version of the signals."""
        versions = json.loads((self.schema.metadata or {}).get(SIGNALS_KEY, b"{}"))
        taken = {*SCHEMA.names, *HIDDEN, *(m for m in self.mapping.values() if isinstance(m, str))}
        numbers = (f.name for f in self.schema if f.name not in taken and _is_number(f.type))
        return {name: str(versions.get(name, "unknown")) for name in numbers if SIGNAL_NAME.fullmatch(name)}

    @cached_property
    def codes(self) -> pa.DataType:
        """The type of its codes: lists of 16 bits where they are so on disk, else of 32."""
        origins = (self._origin(f"{side}_codes") for side in SIDES)
        found = [self.schema.field(origin).type.value_type for origin in origins if isinstance(origin, str)]
        return SHORT_CODES if all(kind in (pa.uint8(), pa.uint16(), pa.null()) for kind in found) else CODES

    # -- rows ----------------------------------------------------------------------------------------------------

    def batches(self) -> Iterator[Batch]:
        """The rows, checked and completed.

        Raises:
            UserError: if the file turns out to be damaged.
        """
        origins = (self._origin(name) for name in SCHEMA.names)
        columns = [*dict.fromkeys(origin for origin in origins if isinstance(origin, str)), *self.signals]
        with self._readable():
            for part in self._parquet.iter_batches(BATCH_ROWS, columns=columns):
                part.validate(full=True)  # text that is no UTF-8, lists that end outside their data
                yield self._completed(pa.Table.from_batches([part]))

    def _completed(self, table: pa.Table) -> Batch:
        schema = (wanted.with_type(self.codes) if wanted.type == CODES else wanted for wanted in SCHEMA)
        columns = {wanted.name: self._column(table, wanted) for wanted in schema}
        not_numbers = no_recording = 0
        for name in (f"{side}_audio" for side in SIDES):
            columns[name], lost = self._recordings(columns[name])
            no_recording += lost
        for name in self.signals:
            columns[name], dropped = _finite(table[name])
            not_numbers += dropped
        whole = pa.table(columns)
        usable = _usable(whole)
        kept = whole if pc.all(usable).as_py() else whole.filter(usable)  # filtering copies all codes
        return Batch(_with_ids(_with_splits(kept)), len(whole) - len(kept), not_numbers, no_recording)

    def _recordings(self, names: Any) -> tuple[Any, int]:
        """Real paths of the recordings, NULL for what may not be opened, and how many of these there were."""
        if names.null_count == len(names):
            return names, 0
        coded = pa.chunked_array([names]) if isinstance(names, pa.Array) else names
        coded = coded.combine_chunks().dictionary_encode()
        paths = pa.array([self._recording(name) for name in coded.dictionary.to_pylist()], pa.string())
        found = paths.take(coded.indices)
        return found, found.null_count - names.null_count

    def _recording(self, name: str) -> str | None:
        if self._base is None or self._folder is None:
            return None
        try:
            return str(find_recording(name, self._base, self._folder))
        except UserError:
            return None

    def _column(self, table: pa.Table, wanted: pa.Field) -> Any:
        origin = self._origin(wanted.name)
        if origin is None:
            return pa.nulls(len(table), wanted.type)
        if isinstance(origin, dict):
            return pa.array([origin.get("value")] * len(table), wanted.type)
        column = table[origin]
        if pa.types.is_floating(column.type):
            column = _finite(column)[0]
        try:
            column = column.cast(wanted.type)
        except pa.ArrowException:
            raise UserError(f"The column {origin} of {self.name} holds values that are no {wanted.type}.") from None
        if pa.types.is_list(wanted.type) and any(chunk.flatten().null_count for chunk in column.chunks):
            raise UserError(f"The column {origin} of {self.name} holds lists with missing codes; leave such pairs out.")
        return column


def read_pairs(path: Path) -> list[Pair]:
    """All pairs of a shard.

    Raises:
        UserError: if it cannot be read or is no shard of pairs.
    """
    shard = Shard(path)
    return [from_row(row, shard.signals) for batch in shard.batches() for row in batch.table.to_pylist()]


def _listed(names: list[str]) -> str:
    return ", ".join(names[:20]) + (" …" if len(names) > 20 else "")


def _is_number(kind: pa.DataType) -> bool:
    return pa.types.is_floating(kind) or pa.types.is_integer(kind)


def _fits(found: pa.DataType, wanted: pa.DataType) -> bool:
    if pa.types.is_dictionary(found):
        found = found.value_type
    if pa.types.is_null(found):
        return True
    if pa.types.is_list(wanted):
        lists = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)
        return any(is_list(found) for is_list in lists) and (
            pa.types.is_integer(found.value_type) or pa.types.is_null(found.value_type)
        )
    if pa.types.is_string(wanted):
        return pa.types.is_string(found) or pa.types.is_large_string(found)
    return _is_number(found) if pa.types.is_floating(wanted) else pa.types.is_integer(found)


def _finite(column: pa.ChunkedArray) -> tuple[pa.ChunkedArray, int]:
    """The numbers as float64, NULL for what is none, and how many of these there were."""
    numbers = column.cast(pa.float64(), safe=False)
    finite = pc.if_else(pc.fill_null(pc.is_finite(numbers), False), numbers, pa.scalar(None, pa.float64()))
    return finite, finite.null_count - numbers.null_count


def _usable(table: pa.Table) -> Any:
    known = [pc.is_in(table[f"{side}_language"], pa.array(LANGUAGES)) for side in SIDES]
    written = [pc.is_valid(table[f"{side}_text"]) for side in SIDES]
    return pc.and_(pc.and_(*known), pc.and_(*written))


def _with_splits(table: pa.Table) -> pa.Table:
    """Pairs that come with a split keep it."""
    if not table["split"].null_count:
        return table
    own = pa.array([split_of(text) for text in table["source_text"].to_pylist()], pa.string())
    return table.set_column(table.column_names.index("split"), "split", pc.coalesce(table["split"], own))


def _with_ids(table: pa.Table) -> pa.Table:
    missing = np.asarray(pc.is_null(table["id"]))
    if not missing.any():
        return table
    ids = table["id"].to_pylist()
    for i in np.flatnonzero(missing):
        pair = from_row(table.slice(i, 1).to_pylist()[0], ())
        ids[i] = pair_id(pair.source, pair.target)
    return table.set_column(0, "id", pa.array(ids, pa.string()))
