"""Rounds of listening are started on the command line, on a real index and a real folder of ratings."""

from dataclasses import replace
from pathlib import Path

import pytest

from stsmt.cli import main
from stsmt.corpus.search import Corpus
from stsmt.listening.events import EventLog
from stsmt.listening.items import silent_items
from stsmt.listening.plan import Plan
from stsmt.listening.protocol import ListeningTest
from tests.corpus.conftest import index
from tests.corpus.pairs import make_pairs


@pytest.fixture
def db(tmp_path: Path) -> Path:
    """30 pairs; the last two translate the same sentence."""
    pairs = make_pairs(30)
    pairs[-1] = replace(pairs[-1], source=pairs[-2].source)
    pairs[-1] = replace(pairs[-1], target=replace(pairs[-2].target, voice="another"))
    index(tmp_path, pairs).close()
    return tmp_path / "corpus.duckdb"


def start(db: Path, *options: str) -> int:
    return main(["ratings", "plan", *options, "--db", str(db), "--ratings", str(db.parent / "ratings")])


def started(db: Path) -> Plan:
    corpus = Corpus(db)
    plan = ListeningTest(silent_items(corpus.pair), EventLog(db.parent / "ratings")).plan
    corpus.close()
    return plan


def test_a_round_of_random_pairs(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(db, "first", "--n", "10", "--overlap", "2", "--double", "0.2:5", "--optional", "voice_similarity") == 0
    plan = started(db)
    ratings = [item for item in plan.items if item.kind == "rating"]
    assert (plan.name, plan.optional) == ("first", ("voice_similarity",))
    assert sorted(item.overlap or 0 for item in ratings) == [2] * 8 + [5] * 2
    assert "Round first has started: 10 rating, 1 trap." in capsys.readouterr().out


def test_two_targets_of_one_sentence_are_compared_and_anchors_come_along(db: Path) -> None:
    ids = [pair.id for pair in make_pairs(30)]
    (db.parent / "compare.txt").write_text(f"{ids[-2]} {ids[-1]}\n\n")
    (db.parent / "anchors.txt").write_text(f"{ids[0]}\n")
    files = ["--compare", str(db.parent / "compare.txt"), "--anchors", str(db.parent / "anchors.txt")]
    assert start(db, "ab", "--n", "0", *files) == 0
    assert [item.kind for item in started(db).items] == ["anchor", "comparison"]


def test_borderline_pairs_are_those_nearest_to_the_threshold(db: Path) -> None:
    assert start(db, "near", "--n", "3", "--borderline", "duration_ratio=1.0", "--trap-rate", "0") == 0
    corpus = Corpus(db)
    ratios = corpus.values("duration_ratio", corpus.sample([], 30, 0))
    corpus.close()
    distances = {pair_id: abs(ratio - 1.0) for pair_id, ratio in ratios.items() if ratio is not None}
    nearest = sorted(distances, key=lambda pair_id: (distances[pair_id], pair_id))[:3]
    assert sorted(item.targets[0].pair_id for item in started(db).items) == sorted(nearest)


@pytest.mark.parametrize(
    "how", [["--stratify", "target_voice"], ["--suspected", "duration_ratio > 0"], ["--where", "split = train"]]
)
def test_other_ways_to_choose(db: Path, how: list[str]) -> None:
    assert start(db, "chosen", "--n", "4", *how) == 0
    assert len([item for item in started(db).items if item.kind == "rating"]) == 4


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--n", "-1"], "at least 0"),
        (["--overlap", "0"], "--overlap at least 1"),
        (["--n", "0"], "Nothing would be rated"),
        (["--double", "0.2"], "needs a number"),
        (["--double", "2:3"], "a share from 0 to 1"),
        (["--stratify", "colour"], "There is no column 'colour'"),
        (["--borderline", "split=1"], "There is no column 'split'"),
        (["--borderline", "duration_ratio=near"], "needs a number, not 'near'"),
        (["--where", "colour = red"], "colour"),
        (["--optional", "beauty"], "Optional questions are"),
        *((["--trap-rate", rate], "must be 0, or between 0.01 and 0.5") for rate in ("0.9", "-0.5", "nan", "1e-320")),
        (["--compare", "missing.txt"], "missing.txt cannot be read"),
    ],
)
def test_what_cannot_be_gets_one_sentence(
    db: Path, options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert start(db, "wrong", *options) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and error[0].startswith("error: ") and words in error[0]
    assert not (db.parent / "ratings").exists() or not list((db.parent / "ratings").glob("*.jsonl"))


def test_a_file_of_comparisons_is_checked(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ids, file = [pair.id for pair in make_pairs(30)], db.parent / "compare.txt"
    for text, words in (
        ("one\n", "must hold 2 pair ids"),
        (f"{ids[0]} {ids[1]}\n", "cannot be compared"),
        ("a b", "no pair"),
    ):
        file.write_text(text)
        assert start(db, "ab", "--n", "0", "--compare", str(file)) == 2
        assert words in capsys.readouterr().err


def test_a_name_is_used_once(db: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert start(db, "first", "--n", "4") == 0
    assert start(db, "first", "--n", "4") == 0, "the same round again changes nothing"
    assert start(db, "first", "--n", "5") == 2
    assert "There is a round called first already" in capsys.readouterr().err
