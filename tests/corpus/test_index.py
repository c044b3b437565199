"""The index: built whole or not at all, and read with nothing but reading allowed."""

import json
import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from stsmt.corpus.index import INDEX_VERSION, build_index, open_index
from stsmt.corpus.pairs import pairs_table, write_pairs, write_table
from stsmt.corpus.search import Corpus, open_corpus
from stsmt.corpus.shards import Shard
from stsmt.errors import UserError
from stsmt.settings import ROOT
from tests.corpus.conftest import index
from tests.corpus.pairs import VERSIONS, make_pair, make_pairs


def with_meta(corpus_file: Path, target: Path, key: str, value: object) -> Path:
    """A copy of an index with a changed meta entry."""
    shutil.copy(corpus_file, target)
    with duckdb.connect(target) as connection:
        connection.execute("UPDATE meta SET value = ? WHERE key = ?", [json.dumps(value), key])
    return target


def test_every_pair_is_found_as_it_was(tmp_path: Path) -> None:
    pairs = make_pairs(20)
    corpus = index(tmp_path, pairs)
    assert [corpus.pair(pair.id) for pair in pairs] == pairs


def test_shards_with_different_signals_make_one_index(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.parquet", [make_pair(seed=1)], VERSIONS)
    write_pairs(tmp_path / "b.parquet", [replace(make_pair(seed=2), signals={"odd": 3.0})], {"odd": "7"})
    report = build_index([Shard(tmp_path / f"{x}.parquet") for x in "ab"], tmp_path / "x.duckdb", threads=1)
    assert report.signals == {**VERSIONS, "odd": "7"}
    corpus = Corpus(tmp_path / "x.duckdb", threads=1)
    found = [corpus.pair(row["id"]).signals for row in corpus.search().rows]
    assert [signals["odd"] for signals in found] == [None, 3.0]
    assert [signals["duration_ratio"] for signals in found] == [1.5, None]


def test_a_pair_that_comes_twice_is_kept_once_and_counted(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.parquet", make_pairs(10), VERSIONS)
    shards = [Shard(tmp_path / "a.parquet")] * 2
    report = build_index(shards, tmp_path / "x.duckdb", threads=1)
    assert (report.pairs, report.repeated) == (10, 10)
    assert Corpus(tmp_path / "x.duckdb", threads=1).count().pairs == 10


def test_a_crash_leaves_the_old_index(tmp_path: Path) -> None:
    corpus = index(tmp_path, make_pairs(5))
    corpus.close()

    def crash(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_index([Shard(tmp_path / "pairs.parquet")], tmp_path / "corpus.duckdb", threads=1, progress=crash)
    assert Corpus(tmp_path / "corpus.duckdb", threads=1).count().pairs == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.duckdb", "pairs.parquet"]


def test_being_killed_leaves_the_old_index(tmp_path: Path) -> None:
    index(tmp_path, make_pairs(5)).close()
    script = """if True:
        import os, sys
        from pathlib import Path
        from stsmt.corpus.index import build_index
        from stsmt.corpus.shards import Shard
        build_index([Shard(sys.argv[1])], Path(sys.argv[2]), threads=1, progress=lambda *_: os.kill(os.getpid(), 9))
    """
    files = [str(tmp_path / "pairs.parquet"), str(tmp_path / "corpus.duckdb")]
    assert subprocess.run([sys.executable, "-c", script, *files], cwd=ROOT).returncode == -9
    assert Corpus(tmp_path / "corpus.duckdb", threads=1).count().pairs == 5
    assert list(tmp_path.glob(".corpus.duckdb.*.part*"))
    index(tmp_path, make_pairs(6)).close()
    assert not list(tmp_path.glob(".corpus.duckdb.*")), "the next build clears up"


def test_who_reads_goes_on_reading_while_the_index_is_made_again(tmp_path: Path) -> None:
    old = index(tmp_path, make_pairs(5))
    write_pairs(tmp_path / "pairs.parquet", make_pairs(9), VERSIONS)
    build_index([Shard(tmp_path / "pairs.parquet")], tmp_path / "corpus.duckdb", threads=1)
    assert len(old.search().rows) == 5


def test_a_damaged_shard_leaves_the_old_index(tmp_path: Path) -> None:
    index(tmp_path, make_pairs(300)).close()
    whole = (tmp_path / "pairs.parquet").read_bytes()
    middle = len(whole) // 3
    (tmp_path / "bad.parquet").write_bytes(whole[:middle] + bytes(2000) + whole[middle + 2000 :])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        build_index([Shard(tmp_path / "bad.parquet")], tmp_path / "corpus.duckdb", threads=1)
    assert Corpus(tmp_path / "corpus.duckdb", threads=1).count().pairs == 300


def test_progress_reaches_the_end(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.parquet", make_pairs(10), VERSIONS)
    seen: list[tuple[int, int]] = []
    build_index([Shard(tmp_path / "a.parquet")], tmp_path / "x.duckdb", threads=1, progress=lambda *x: seen.append(x))
    assert seen[-1] == (10, 10)


@pytest.mark.parametrize(("version", "words"), [(INDEX_VERSION + 1, "a newer stsmt"), (0, "an older stsmt")])
def test_an_index_of_another_version_is_refused_with_the_way_out(tmp_path: Path, version: int, words: str) -> None:
    index(tmp_path, make_pairs(2)).close()
    changed = with_meta(tmp_path / "corpus.duckdb", tmp_path / "other.duckdb", "version", version)
    with pytest.raises(UserError, match=words) as caught:
        Corpus(changed)
    assert "stsmt corpus index" in str(caught.value)


def test_a_file_that_is_no_index_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.duckdb").write_text("these are notes")
    with duckdb.connect(tmp_path / "foreign.duckdb") as connection:
        connection.execute("CREATE TABLE t (x INTEGER)")
    for name in ("notes", "foreign"):
        with pytest.raises(UserError, match="is no corpus index"):
            Corpus(tmp_path / f"{name}.duckdb")
    with pytest.raises(UserError, match="There is no index"):
        Corpus(tmp_path / "missing.duckdb")


def test_a_newer_duckdb_file_is_refused(tmp_path: Path) -> None:
    index(tmp_path, make_pairs(2)).close()
    data = bytearray((tmp_path / "corpus.duckdb").read_bytes())
    data[12:20] = (9999).to_bytes(8, "little")  # the storage version in the header
    (tmp_path / "corpus.duckdb").write_bytes(data)
    with pytest.raises(UserError, match="newer DuckDB"):
        Corpus(tmp_path / "corpus.duckdb")


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{0}')",
        "SELECT * FROM read_text('{0}')",
        "COPY pairs TO '{0}'",
        "ATTACH '{0}' AS other",
        "CREATE TABLE t (x INTEGER)",
        "DELETE FROM pairs",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET threads = 7",
    ],
)
def test_the_connection_can_only_read_the_index(tmp_path: Path, query: str) -> None:
    index(tmp_path, make_pairs(2)).close()
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    connection, _ = open_index(tmp_path / "corpus.duckdb", threads=1)
    with pytest.raises(duckdb.Error):
        connection.execute(query.format(tmp_path / "secret.csv"))
    connection.close()


def test_the_hidden_column_does_not_reach_the_index(tmp_path: Path) -> None:
    table = pairs_table(make_pairs(2), {}).append_column("planted", pa.array(["loop", None]))
    write_table(tmp_path / "a.parquet", table)
    build_index([Shard(tmp_path / "a.parquet")], tmp_path / "x.duckdb", threads=1)
    assert b"planted" not in (tmp_path / "x.duckdb").read_bytes()
    assert "planted" not in Corpus(tmp_path / "x.duckdb", threads=1).columns


def test_the_bundled_pairs_are_indexed_where_there_is_no_index(tmp_path: Path) -> None:
    write_pairs(tmp_path / "bundled.parquet", make_pairs(3), VERSIONS)
    corpus = open_corpus(tmp_path / "new.duckdb", tmp_path / "bundled.parquet")
    assert corpus is not None
    assert corpus.count().pairs == 3
    assert open_corpus(tmp_path / "other.duckdb", tmp_path / "missing.parquet") is None


def test_where_nothing_may_be_written_the_bundled_pairs_are_there_all_the_same(tmp_path: Path) -> None:
    write_pairs(tmp_path / "bundled.parquet", make_pairs(3), VERSIONS)
    corpus = open_corpus(tmp_path / "missing" / "new.duckdb", tmp_path / "bundled.parquet")
    assert corpus is not None
    assert corpus.count().pairs == 3


def test_the_bundled_pairs_are_indexed_again_when_they_or_stsmt_have_changed(tmp_path: Path) -> None:
    bundled, db = tmp_path / "bundled.parquet", tmp_path / "new.duckdb"

    def opened() -> int:
        corpus = open_corpus(db, bundled)
        assert corpus is not None
        with closing(corpus):
            return corpus.count().pairs

    write_pairs(bundled, make_pairs(3), VERSIONS)
    assert opened() == 3
    write_pairs(bundled, make_pairs(5), VERSIONS)
    os.utime(bundled, ns=(0, db.stat().st_mtime_ns - 10**9))  # not newer than the index
    assert opened() == 3
    os.utime(bundled, ns=(0, db.stat().st_mtime_ns + 10**9))
    assert opened() == 5
    write_pairs(bundled, make_pairs(4), VERSIONS)
    os.utime(bundled, ns=(0, 0))
    with_meta(db, tmp_path / "older.duckdb", "version", INDEX_VERSION - 1).replace(db)
    assert opened() == 4


def test_an_older_index_of_ones_own_pairs_is_never_replaced(tmp_path: Path) -> None:
    write_pairs(tmp_path / "bundled.parquet", make_pairs(3), VERSIONS)
    index(tmp_path, make_pairs(2)).close()
    own = with_meta(tmp_path / "corpus.duckdb", tmp_path / "own.duckdb", "version", INDEX_VERSION - 1)
    with pytest.raises(UserError, match="an older stsmt"):
        open_corpus(own, tmp_path / "bundled.parquet")


def test_a_folder_that_may_not_be_written_gets_a_sentence(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.parquet", make_pairs(3), VERSIONS)
    with pytest.raises(UserError, match="cannot be written"):
        build_index([Shard(tmp_path / "a.parquet")], tmp_path / "missing" / "x.duckdb", threads=1)


def test_a_full_disk_leaves_the_old_index_and_gets_one_sentence(tmp_path: Path) -> None:
    """Wherever the disk fills up, also while the file is closed: what is published holds every pair."""
    index(tmp_path, make_pairs(5)).close()
    write_pairs(tmp_path / "many.parquet", make_pairs(3000), VERSIONS)
    limits = [4, 270, 530, 1050, 1250, 4000]  # KiB; the whole index takes about 1300
    ends = with_full_disks(limits, tmp_path / "many.parquet", tmp_path / "corpus.duckdb")
    refused = [end for end in ends if end["exit"] == 2]
    assert [end["exit"] for end in ends] == [2] * len(refused) + [0] * (len(ends) - len(refused)), ends
    assert len(refused) >= 3
    for end in refused:
        assert end["pairs"] == 5
        assert end["last"].startswith("error: The index ") and "cannot be written" in end["last"]
    assert ends[-1]["pairs"] == 3000
    assert not list(tmp_path.glob(".corpus.duckdb.*"))


def with_full_disks(limits: list[int], shard: Path, db: Path) -> list[dict]:
    """Index a shard where no file can grow beyond so many KiB, in a process of its own; how each attempt ended."""
    script = """if True:
        import contextlib, io, json, resource, sys
        from pathlib import Path
        from stsmt.cli import main
        from stsmt.corpus.search import Corpus
        for limit in json.loads(sys.argv[1]):
            said = io.StringIO()
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit * 1024, -1))
            with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
                code = main(["corpus", "index", sys.argv[2], "--db", sys.argv[3]])
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
            corpus = Corpus(sys.argv[3], threads=1)
            print(json.dumps({"exit": code, "last": said.getvalue().splitlines()[-1], "pairs": corpus.count().pairs}))
            corpus.close()
    """
    command = [sys.executable, "-c", script, json.dumps(limits), str(shard), str(db)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def test_where_the_disk_is_full_the_bundled_pairs_are_indexed_in_a_temporary_folder(tmp_path: Path) -> None:
    """A limit that the first attempt meets and the second one does not, as with another disk."""
    write_pairs(tmp_path / "bundled.parquet", make_pairs(3000), VERSIONS)
    script = """if True:
        import resource, sys, tempfile
        from pathlib import Path
        from stsmt.corpus.search import open_corpus
        other = tempfile.mkdtemp
        def roomier(**options):
            resource.setrlimit(resource.RLIMIT_FSIZE, (-1, -1))
            return other(**options)
        tempfile.mkdtemp = roomier
        resource.setrlimit(resource.RLIMIT_FSIZE, (300 * 1024, -1))
        print(open_corpus(Path(sys.argv[1]), Path(sys.argv[2])).count().pairs)
    """
    command = [sys.executable, "-c", script, str(tmp_path / "new.duckdb"), str(tmp_path / "bundled.parquet")]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    assert done.stdout.splitlines()[-1] == "3000", done.stderr
    assert not (tmp_path / "new.duckdb").exists()
