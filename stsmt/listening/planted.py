"""The hidden column of the bundled corpus: which defect was planted in which pair."""

from pathlib import Path

import pyarrow.parquet as pq


def read_planted(shard: Path) -> list[tuple[str, str | None]]:
    """Pair ids and their defects, None for sound pairs; nothing where the shard or its column is missing."""
    if not shard.is_file() or "planted" not in pq.read_schema(shard).names:
        return []
    table = pq.read_table(shard, columns=["id", "planted"])
    return list(zip(table["id"].to_pylist(), table["planted"].to_pylist(), strict=True))
