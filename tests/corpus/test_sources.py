"""Where pairs come from besides Parquet files."""

import json
from pathlib import Path

import pytest

from stsmt.audio import write_wav
from stsmt.corpus.index import build_index
from stsmt.corpus.pairs import write_pairs
from stsmt.corpus.search import Corpus
from stsmt.corpus.sources import open_shards, read_mapping
from stsmt.errors import UserError
from tests.conftest import make_speech
from tests.corpus.pairs import VERSIONS, make_pairs

ROW = {
    "source_text": "駅はどこですか。",
    "source_language": "ja",
    "target_text": "Where is it?",
    "target_language": "en",
}


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    folder = tmp_path / "recordings"
    folder.mkdir()
    for name, seconds in (("a.wav", 1.0), ("b.wav", 1.5)):
        write_wav(folder / name, make_speech(seconds))
    return folder


def write_list(folder: Path, source: str = "a.wav", target: str = "b.wav") -> None:
    row = ROW | {"source_audio": source, "target_audio": target}
    (folder / "metadata.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")


def only_pair(folder: Path, where: Path) -> Corpus:
    build_index(open_shards([str(folder)]), where / "x.duckdb", threads=1)
    return Corpus(where / "x.duckdb", threads=1)


def test_a_folder_of_recordings_with_a_list_is_a_corpus(recordings: Path, tmp_path: Path) -> None:
    write_list(recordings)
    corpus = only_pair(recordings, tmp_path)
    pair = corpus.pair(corpus.search().rows[0]["id"])
    assert (pair.source.text, pair.target.seconds, pair.source.codes) == (ROW["source_text"], 1.5, ())
    assert Path(str(pair.source.audio)) == recordings / "a.wav"


def test_the_list_may_be_csv(recordings: Path, tmp_path: Path) -> None:
    columns = [*ROW, "source_audio", "target_audio"]
    lines = [",".join(columns), ",".join([*ROW.values(), "a.wav", "b.wav"])]
    (recordings / "metadata.csv").write_text("\n".join(lines), encoding="utf-8")
    assert only_pair(recordings, tmp_path).search("駅").rows[0]["source_seconds"] == 1.0


@pytest.mark.parametrize("name", ["../secret.wav", "/etc/passwd", "sub/../../secret.wav"])
def test_a_list_opens_nothing_outside_its_folder(recordings: Path, name: str) -> None:
    write_wav(recordings.parent / "secret.wav", make_speech())
    write_list(recordings, source=name)
    with pytest.raises(UserError, match="lies outside"):
        open_shards([str(recordings)])


def test_a_recording_that_is_missing_or_none_gets_a_sentence(recordings: Path) -> None:
    (recordings / "notes.wav").write_text("notes")
    for name in ("missing.wav", "notes.wav"):
        write_list(recordings, source=name)
        with pytest.raises(UserError, match="is missing or not audio"):
            open_shards([str(recordings)])


def test_a_folder_of_shards_is_read_whole(tmp_path: Path) -> None:
    pairs = make_pairs(10)
    (tmp_path / "deep").mkdir()
    write_pairs(tmp_path / "a.parquet", pairs[:5], VERSIONS)
    write_pairs(tmp_path / "deep" / "b.parquet", pairs[5:], VERSIONS)
    assert sum(shard.rows for shard in open_shards([str(tmp_path)])) == 10


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("{", "not valid JSON"),
        ("[1]", "must be one object"),
        ('{"a": 5}', "must be one object"),
        (None, "cannot be opened"),
    ],
)
def test_a_mapping_that_is_none_gets_a_sentence(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "map.json").write_text(content)
    with pytest.raises(UserError, match=words):
        read_mapping(tmp_path / "map.json")


def test_what_is_not_there_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="does not exist"):
        open_shards([str(tmp_path / "missing.parquet")])
    with pytest.raises(UserError, match="holds neither"):
        open_shards([str(tmp_path)])


def test_a_dataset_that_cannot_be_reached_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    def offline(*args: object, **options: object) -> list[str]:
        raise ConnectionError("no network")

    monkeypatch.setattr(huggingface_hub.HfFileSystem, "glob", offline)
    with pytest.raises(UserError, match=r"cannot be reached on the Hub \(no network\)"):
        open_shards(["nobody/nothing"])
