"""Recordings that a shard names: only those in its own folder are ever opened."""

import io
import os
from dataclasses import replace
from pathlib import Path

import pytest

from stsmt.audio import write_wav
from stsmt.cli import main
from stsmt.corpus import recordings
from stsmt.corpus.index import build_index
from stsmt.corpus.pairs import Pair, write_pairs
from stsmt.corpus.recordings import read_recording
from stsmt.corpus.search import Corpus
from stsmt.corpus.shards import Shard, read_pairs
from stsmt.corpus.sources import open_shards
from stsmt.errors import UserError
from tests.conftest import make_speech
from tests.corpus.pairs import make_pair


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A corpus with one honest recording; a private one lies beside it."""
    made = tmp_path / "corpus"
    (made / "sub").mkdir(parents=True)
    write_wav(made / "sub" / "a.wav", make_speech(0.3))
    write_wav(tmp_path / "private.wav", make_speech(0.3))
    (made / "notes.wav").write_text("not a sound")
    (made / "secret.txt").write_text("secret")
    (made / "link.wav").symlink_to(tmp_path / "private.wav")
    (made / "up").symlink_to(tmp_path)
    (made / "zero.wav").symlink_to("/dev/zero")
    (made / "inner.wav").symlink_to(made / "sub" / "a.wav")
    os.mkfifo(made / "pipe.wav")
    (made / "circle.wav").symlink_to(made / "circle.wav")
    with (made / "huge.wav").open("wb") as file:
        file.write((made / "sub" / "a.wav").read_bytes())
        file.truncate(recordings.MAX_BYTES + 1)
    return made


def named(*names: str) -> list[Pair]:
    """Pairs without codes whose source is one of these files."""
    pairs = [make_pair(codes=0, seed=i) for i in range(len(names))]
    made = zip(pairs, names, strict=True)
    return [replace(p, id=f"{i:016x}", source=replace(p.source, audio=name)) for i, (p, name) in enumerate(made)]


REFUSED = (
    *("../private.wav", "sub/../../private.wav", "link.wav", "up/private.wav", "zero.wav", "/dev/zero", "/etc/passwd"),
    *("notes.wav", "secret.txt", "pipe.wav", "circle.wav", "huge.wav", "missing.wav", "sub", "", "a\0.wav", "x" * 5000),
)


def test_only_recordings_in_the_folder_of_a_shard_reach_the_index(folder: Path, tmp_path: Path) -> None:
    honest = ("sub/a.wav", str(folder / "sub" / "a.wav"), "inner.wav")
    pairs = named(*honest, str(tmp_path / "private.wav"), *REFUSED)
    write_pairs(folder / "a.parquet", pairs)
    report = build_index([Shard(folder / "a.parquet")], tmp_path / "x.duckdb", threads=1)
    assert (report.pairs, report.no_recording) == (len(pairs), len(REFUSED) + 1)
    corpus = Corpus(tmp_path / "x.duckdb", threads=1)
    found = [corpus.pair(pair.id).source.audio for pair in pairs]
    assert found == [str((folder / "sub" / "a.wav").resolve())] * 3 + [None] * (len(REFUSED) + 1)


def test_a_folder_of_shards_shares_its_recordings(folder: Path) -> None:
    (folder / "shards").mkdir()
    write_pairs(folder / "shards" / "a.parquet", named("../sub/a.wav", "../../private.wav"))
    (shard,) = open_shards([str(folder)])
    (batch,) = shard.batches()
    assert [Path(name).name if name else None for name in batch.table["source_audio"].to_pylist()] == ["a.wav", None]
    assert [pair.source.audio for pair in read_pairs(folder / "shards" / "a.parquet")] == [None, None]


def test_a_shard_from_the_hub_opens_no_file_here(folder: Path) -> None:
    """What the Hub gives is an open file without a folder."""
    write_pairs(folder / "a.parquet", named("sub/a.wav", str(folder / "sub" / "a.wav")))
    (batch,) = Shard(io.BytesIO((folder / "a.parquet").read_bytes()), name="datasets/x/y.parquet").batches()
    assert (batch.table["source_audio"].null_count, batch.no_recording) == (2, 2)


def test_indexing_says_how_many_will_not_be_heard(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(folder / "a.parquet", named("sub/a.wav", "/etc/passwd"))
    assert main(["corpus", "index", str(folder / "a.parquet"), "--db", str(tmp_path / "x.duckdb")]) == 0
    assert "note: 1 recordings lie outside the corpus's folder" in capsys.readouterr().err


LATER = ("link.wav", "zero.wav", "pipe.wav", "circle.wav", "huge.wav", "missing.wav", "secret.txt", "sub")


@pytest.mark.parametrize("name", [*LATER, "up/private.wav"])
def test_what_takes_the_place_of_a_recording_after_indexing_is_not_read(folder: Path, name: str) -> None:
    with pytest.raises(UserError, match="not there any more"):
        read_recording(folder / name)
