"""Where pairs are read from: Parquet files, a folder of recordings with a list of them, a dataset on the Hub."""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet as pq

from stsmt.audio import duration
from stsmt.corpus.pairs import SIDES
from stsmt.corpus.recordings import find_recording
from stsmt.corpus.shards import Mapped, Shard
from stsmt.errors import UserError

LISTINGS = ("metadata.csv", "metadata.jsonl")
HUB = "hf://datasets/"
_DATASET = re.compile(r"[\w.-]+/[\w.-]+(@[\w./-]+)?")


def open_shards(sources: Sequence[str], mapping: Mapping[str, Mapped] | None = None) -> list[Shard]:
    """The shards that `sources` name: files, folders, `owner/name` or `hf://datasets/owner/name/file.parquet`.

    Raises:
        UserError: if one is missing, unreachable or not readable.
    """
    shards = [shard for source in sources for shard in _open(source, mapping or {})]
    if not shards:
        raise UserError("There is nothing to index; name Parquet files or a folder.")
    return shards


def _open(source: str, mapping: Mapping[str, Mapped]) -> list[Shard]:
    path = Path(source)
    if source.startswith(HUB) or (not path.exists() and _DATASET.fullmatch(source) and path.suffix != ".parquet"):
        return _hub(source.removeprefix(HUB), mapping)
    if not path.is_dir():
        return [Shard(path, mapping)]
    listing = next((path / name for name in LISTINGS if (path / name).is_file()), None)
    if listing is not None:
        return [_recordings(listing, mapping)]
    files = sorted(path.rglob("*.parquet"))
    if not files:
        raise UserError(f"{source} holds neither Parquet files nor a {' or '.join(LISTINGS)}.")
    return [Shard(file, mapping, folder=path) for file in files]


def read_mapping(path: Path) -> dict[str, Mapped]:
    """A JSON object, our column → theirs, or → {"value": …} for all rows.

    Raises:
        UserError: if it is something else.
    """
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except OSError:
        raise UserError(f"The mapping {path} cannot be opened; check the path.") from None
    except ValueError as error:
        raise UserError(f"The mapping {path} is not valid JSON ({error}).") from None
    if not isinstance(data, dict) or not all(isinstance(v, str) or _is_constant(v) for v in data.values()):
        raise UserError(f'The mapping {path} must be one object of "our column": "their column" or {{"value": …}}.')
    return data


def _is_constant(value: Any) -> bool:
    return isinstance(value, dict) and value.keys() == {"value"} and isinstance(value["value"], str | int | float)


# -- recordings ------------------------------------------------------------------------------------------------------


def _recordings(listing: Path, mapping: Mapping[str, Mapped]) -> Shard:
    """A folder with a row per pair, whose `source_audio` and `target_audio` name files in it."""
    read = pyarrow.csv.read_csv if listing.suffix == ".csv" else pyarrow.json.read_json
    try:
        table = read(listing)
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{listing} cannot be read ({' '.join(str(error).split())[:120]}).") from None
    for side in SIDES:
        table = _with_sound(table, side, listing.parent.resolve(), mapping)
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    ours = {name: origin for name, origin in mapping.items() if not name.endswith(("_audio", "_seconds"))}
    return Shard(pa.BufferReader(sink.getvalue()), ours, str(listing), listing.parent)


def _with_sound(table: pa.Table, side: str, folder: Path, mapping: Mapping[str, Mapped]) -> pa.Table:
    """The table with whole paths and, where it has none, with the seconds of the recordings."""
    named = mapping.get(f"{side}_audio", f"{side}_audio")
    if not isinstance(named, str) or named not in table.column_names:
        raise UserError(f"The list in {folder} lacks the column {named} with the recordings' names.")
    paths = [find_recording(str(name), folder, folder) for name in table[named].to_pylist()]
    table = _set(table, f"{side}_audio", pa.array([str(path) for path in paths]))
    if f"{side}_seconds" in table.column_names:
        return table
    return _set(table, f"{side}_seconds", pa.array([duration(path) for path in paths], pa.float64()))


def _set(table: pa.Table, name: str, column: pa.Array) -> pa.Table:
    if name in table.column_names:
        return table.set_column(table.column_names.index(name), name, column)
    return table.append_column(name, column)


# -- the Hub ---------------------------------------------------------------------------------------------------------


def _hub(address: str, mapping: Mapping[str, Mapped]) -> list[Shard]:
    from huggingface_hub import HfFileSystem

    files = HfFileSystem()
    try:
        whole = f"datasets/{address}"
        names = [whole] if address.endswith(".parquet") else sorted(files.glob(f"{whole}/**/*.parquet"))
        opened = [(files.open(name, "rb"), name) for name in names]
    except Exception as error:  # offline, not found, no right to it: the library has an exception for each
        reason = str(error).splitlines()[0][:120] if str(error) else type(error).__name__
        raise UserError(f"The dataset {address} cannot be reached on the Hub ({reason}).") from None
    if not opened:
        raise UserError(f"The dataset {address} holds no Parquet files.")
    return [Shard(file, mapping, name) for file, name in opened]
