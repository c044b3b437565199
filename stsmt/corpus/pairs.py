"""Pairs: a sentence spoken in one language and its spoken translation, and the Parquet shards that hold them.

A shard has one row per pair and the columns of `SCHEMA`; those in `REQUIRED` must be there, the others may be missing.
Sound is kept as codes of a codec; `…_audio` names a file where there are none. Columns of numbers beyond these are
signals: measurements of the pair, NULL where they were not taken, whose versions stand in the file's metadata.
"""

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path, PurePath
from typing import Any, Literal

import pyarrow as pa
import pyarrow.parquet as pq

from stsmt.example import Language
from stsmt.text import normalise_for_display

SIGNALS_KEY = b"stsmt.signals"  # of the metadata: a JSON object, name → version
HIDDEN = frozenset({"planted"})  # what nobody who browses or rates may see
SIGNAL_NAME = re.compile(r"(?!number$|(source|target)_search$)[a-z][a-z0-9_]{0,62}")  # a database ignores case
DEV_PERCENT, TEST_PERCENT = 3, 5
SIDES: tuple[Literal["source", "target"], ...] = ("source", "target")


@dataclass(frozen=True)
class Utterance:
    """One side of a pair. `seconds` of sound; `heard` is what a recogniser made of it, `reading` what it should be.

    `codes` are the codec's; where there are none, `audio` is the path of a recording.
    """

    text: str
    language: Language
    voice: str | None = None
    codes: tuple[int, ...] = ()
    seconds: float | None = None
    model: str | None = None
    seed: int | None = None
    audio: str | None = None
    heard: str | None = None
    reading: str | None = None


@dataclass(frozen=True)
class Pair:
    """A source and its translation. `provenance`: origin, licence, template; `signals` are None where missing."""

    id: str
    source: Utterance
    target: Utterance
    split: str
    provenance: Mapping[str, str] = field(default_factory=dict)
    signals: Mapping[str, float | None] = field(default_factory=dict)


PROVENANCE = ("origin", "licence", "template")
CODES, SHORT_CODES = pa.list_(pa.uint32()), pa.list_(pa.uint16())
_TYPES = {"codes": CODES, "seconds": pa.float64(), "seed": pa.int64()}
_SIDE_FIELDS = tuple(item.name for item in fields(Utterance))
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        *((f"{side}_{name}", _TYPES.get(name, pa.string())) for side in SIDES for name in _SIDE_FIELDS),
        ("split", pa.string()),
        *((name, pa.string()) for name in PROVENANCE),
    ]
)
REQUIRED = tuple(f"{side}_{name}" for side in SIDES for name in ("text", "language"))


def split_of(source_text: str) -> str:
    """train, dev or test: a hash of the source sentence, so that it is never in two of them."""
    digest = hashlib.sha256(normalise_for_display(source_text).encode("utf-8", "surrogatepass")).hexdigest()
    bucket = int(digest, 16) % 100
    return "dev" if bucket < DEV_PERCENT else "test" if bucket < DEV_PERCENT + TEST_PERCENT else "train"


def pair_id(source: Utterance, target: Utterance) -> str:
    """16 hexadecimal digits that depend on the texts, the voices and the sound (or its file's name) alone."""
    digest = hashlib.blake2b(digest_size=8)
    for side in (source, target):
        file = PurePath(side.audio).name if side.audio else None
        said = (side.language, side.text, side.voice, file, list(side.codes))
        digest.update(json.dumps(said, ensure_ascii=True).encode())
    return digest.hexdigest()


# -- rows ------------------------------------------------------------------------------------------------------------


def to_row(pair: Pair) -> dict[str, Any]:
    """A pair as one flat row."""
    sides = {f"{name}_{key}": value for name in SIDES for key, value in vars(getattr(pair, name)).items()}
    return {"id": pair.id, **sides, "split": pair.split, **pair.provenance, **pair.signals}


def from_row(row: Mapping[str, Any], signals: Iterable[str]) -> Pair:
    """A flat row as a pair, with these signals."""
    source, target = (Utterance(**_side(row, name)) for name in SIDES)
    return Pair(
        id=row["id"],
        source=source,
        target=target,
        split=row["split"],
        provenance={name: row[name] for name in PROVENANCE if row.get(name) is not None},
        signals={name: finite(row.get(name)) for name in signals},
    )


def _side(row: Mapping[str, Any], side: str) -> dict[str, Any]:
    found = {name: row.get(f"{side}_{name}") for name in _SIDE_FIELDS}
    return found | {"codes": tuple(found["codes"] or ())}


def finite(value: float | None) -> float | None:
    """The number, or None for what is none (NaN, infinite, missing)."""
    return float(value) if value is not None and math.isfinite(value) else None


# -- shards ----------------------------------------------------------------------------------------------------------


def write_table(path: Path, table: pa.Table) -> None:
    """Write a shard as small as Parquet can, all or nothing."""
    split = [name for name in table.column_names if pa.types.is_list(table.schema.field(name).type)]
    dictionary = [name for name in table.column_names if name not in split]
    encodings = {f"{name}.list.element": "BYTE_STREAM_SPLIT" for name in split}  # high bytes repeat, low ones do not
    part = path.with_name(f".{path.name}.part")
    pq.write_table(
        table, part, compression="zstd", compression_level=19, use_dictionary=dictionary, column_encoding=encodings
    )
    part.replace(path)


def write_pairs(path: Path, pairs: Sequence[Pair], versions: Mapping[str, str] | None = None) -> None:
    """Write pairs as one shard; `versions` of their signals go into its metadata."""
    write_table(path, pairs_table(pairs, versions or {}))


def pairs_table(pairs: Sequence[Pair], versions: Mapping[str, str]) -> pa.Table:
    """Pairs as an Arrow table of `SCHEMA` and the signals in `versions`; codes take 16 bits where they can."""
    rows = [to_row(pair) for pair in pairs]
    largest = max((max(row[f"{side}_codes"], default=0) for row in rows for side in SIDES), default=0)
    codes = SHORT_CODES if largest < 2**16 else CODES
    kept = (f.with_type(codes) if f.type == CODES else f for f in SCHEMA)
    schema = pa.schema([*kept, *((name, pa.float64()) for name in versions)])
    return with_versions(pa.Table.from_pylist(rows, schema=schema), versions)


def with_versions(table: pa.Table, versions: Mapping[str, str]) -> pa.Table:
    """The table with the versions of its signals in its metadata."""
    return table.replace_schema_metadata({**(table.schema.metadata or {}), SIGNALS_KEY: json.dumps(dict(versions))})
