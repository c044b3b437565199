"""`stsmt corpus`: what it prints, and that bad input is one sentence and exit status 2."""

import json
import re
from contextlib import closing
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stsmt.cli import main
from stsmt.corpus.pairs import write_pairs
from stsmt.corpus.search import Corpus
from tests.corpus.pairs import VERSIONS, make_pairs

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def db(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("cli")
    write_pairs(folder / "a.parquet", make_pairs(30), VERSIONS)
    assert main(["corpus", "index", str(folder / "a.parquet"), "--db", str(folder / "x.duckdb")]) == 0
    return str(folder / "x.duckdb")


def test_an_index_is_made_with_progress_on_standard_error(tmp_path: Path, capsys: Capture) -> None:
    write_pairs(tmp_path / "a.parquet", make_pairs(3), VERSIONS)
    assert main(["corpus", "index", str(tmp_path), "--db", str(tmp_path / "x.duckdb"), "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)["pairs"] == 3
    assert "3 of 3 pairs" in printed.err


def test_a_search_prints_one_json_document(db: str, capsys: Capture) -> None:
    arguments = ["--where", "source_voice = mei", "--sort", "source_seconds", "--descending", "--limit", "2"]
    assert main(["corpus", "search", "駅", "--db", db, "--json", *arguments]) == 0
    found = json.loads(capsys.readouterr().out)
    assert len(found["pairs"]) == 2
    assert found["total"] == 8
    assert main(["corpus", "search", "駅", "--db", db, *arguments, "--cursor", found["cursor"]]) == 0
    printed = capsys.readouterr()
    assert found["pairs"][0]["id"] not in printed.out
    assert "voice of the source is mei" in printed.err


def test_stats_print_what_is_there_and_what_is_missing(db: str, capsys: Capture) -> None:
    assert main(["corpus", "stats", "--db", db, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["pairs"] == 30
    assert found["choices"]["source_voice"] == {"mei": 15, "mei-low": 15}
    assert found["numbers"]["target_error_rate"]["missing"] == 6
    assert found["numbers"]["target_error_rate"]["version"] == "1"
    assert main(["corpus", "stats", "--db", db]) == 0
    assert "missing 6" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["search", "x", "--db", "missing.duckdb"], "There is no index"),
        (["search", "x", "--where", "planted = loop"], "There is no column"),
        (["search", "x", "--sort", "id"], "cannot be sorted"),
        (["search", "x", "--cursor", "x"], "cursor does not belong"),
        (["index", "missing.parquet"], "does not exist"),
        (["index", "missing.parquet", "--mapping", "missing.json"], "cannot be opened"),
        (["stats", "--where", "("], "ends too early"),
        ([], "corpus --help"),
    ],
)
def test_bad_input_is_one_sentence(db: str, capsys: Capture, arguments: list[str], words: str) -> None:
    given = [] if "--db" in arguments or not arguments else ["--db", db]
    assert main(["corpus", *arguments, *given]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert words in printed.err.splitlines()[-1]
    assert printed.err.splitlines()[-1].startswith("error: ")


@pytest.mark.parametrize("verb", ["index", "stats", "search"])
def test_help_teaches(verb: str, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["corpus", verb, "--help"])
    assert "--db" in capsys.readouterr().out


def test_the_mapping_in_the_help_indexes_the_data_set_that_it_is_for(tmp_path: Path, capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["corpus", "index", "--help"])
    shown = capsys.readouterr().out
    (tmp_path / "other.json").write_text(re.findall(r"  ({\"id\".*?}})\n", shown, re.DOTALL)[0], encoding="utf-8")
    row = {"utt_id": "a1", "text_ja": "駅", "text_en": "station", "codes_ja": [1, 2], "codes_en": [3], "bleu": 50.0}
    row |= {"dur_ja": 1.0, "dur_en": 2.0, "speaker": "mei"}
    pq.write_table(pa.Table.from_pylist([row]), tmp_path / "other.parquet")
    arguments = [str(tmp_path / "other.parquet"), "--mapping", str(tmp_path / "other.json")]
    assert main(["corpus", "index", *arguments, "--db", str(tmp_path / "x.duckdb")]) == 0
    with closing(Corpus(tmp_path / "x.duckdb", threads=1)) as corpus:
        pair = corpus.pair("a1")
    assert (pair.source.voice, pair.target.codes, pair.target.seconds) == ("mei", (3,), 2.0)
    assert (pair.provenance["licence"], dict(pair.signals)) == ("CC-BY-4.0", {"bleu": 50.0})
