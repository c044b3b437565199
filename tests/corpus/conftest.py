"""A small corpus on disk and its index: real Parquet, real DuckDB, one thread."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from stsmt.corpus.index import build_index
from stsmt.corpus.pairs import Pair, write_pairs
from stsmt.corpus.search import Corpus
from stsmt.corpus.shards import Shard
from tests.corpus.pairs import VERSIONS, make_pairs


def index(folder: Path, pairs: Sequence[Pair], **options: bool) -> Corpus:
    """The index of one shard of these pairs."""
    write_pairs(folder / "pairs.parquet", pairs, VERSIONS)
    build_index([Shard(folder / "pairs.parquet")], folder / "corpus.duckdb", threads=1, **options)
    return Corpus(folder / "corpus.duckdb", threads=1)


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """137 pairs; read only."""
    return index(tmp_path_factory.mktemp("corpus"), make_pairs(137))
