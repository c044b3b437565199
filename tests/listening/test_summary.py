"""Tables and files: what is counted, in which form, and that the same events give the same bytes."""

import csv
import io
import json
from pathlib import Path

import pytest

from stsmt.cli import main
from stsmt.errors import UserError
from stsmt.listening.exchange import export, rows
from stsmt.listening.summary import pair_table, public_summary, read_summary, summary
from tests.listening.corpus import Corpus, Stage


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    """Four simulated raters on six pairs, of which the odd ones are bad, and comparisons of good with bad."""
    stage = Stage(tmp_path / "ratings", corpus=Corpus(6)).open(
        overlap=4, comparisons=[("p0", "p1"), ("p2", "p3"), ("p4", "p5")]
    )
    for i in range(4):
        rater = stage.rater(f"simulated {i}")
        while (shown := stage.test.next(rater)) is not None:
            item = stage.item_of(shown)
            number = int(item.targets[0].pair_id[1:])
            better = "b" if stage.test._ledger.state.presentations[shown.id].swapped else "a"
            score = (2 if number % 2 else 4) + (i == 3)
            flags = ("noise",) if number % 2 and item.kind == "rating" else ()
            stage.rate(rater, shown, score, choice=better, flags=flags)
    return stage


def test_conditions_are_told_apart(stage: Stage) -> None:
    found = read_summary(stage.folder)
    table = {(row["question"], row["condition"]): row for row in found["conditions"]}
    assert table["adequacy", "good"]["mean"]["value"] == pytest.approx(4.25)
    assert table["adequacy", "bad"]["mean"]["value"] == pytest.approx(2.25)
    assert table["adequacy", "bad"]["mean"]["n"] == 12
    assert table["adequacy", "bad"]["histogram"] == [0, 9, 3, 0, 0]
    (comparison,) = found["comparisons"]
    assert comparison["choices"] == {"good wins": 12}
    assert comparison["strengths"]["good"]["value"] > comparison["strengths"]["bad"]["value"]
    assert {row["condition"]: row["n"] for row in found["flags"]} == {"bad": 12}
    assert all(row["alpha"] is not None for row in found["agreement"])
    json.dumps(found, allow_nan=False)


def test_normalised_means_forgive_a_generous_rater(stage: Stage) -> None:
    found = pair_table(stage.test.ratings())
    assert found["p0"]["adequacy"]["n"] == 4
    assert found["p0"]["adequacy"]["normalised"] - found["p1"]["adequacy"]["normalised"] == pytest.approx(2.0)


def test_a_pair_shows_its_ratings_so_far(stage: Stage) -> None:
    good, bad, none = (stage.test.of_pair(pair_id) for pair_id in ("p0", "p1", "p9"))
    mean = good.means["adequacy"]
    assert mean.n == 4 and mean.value == pytest.approx(4.25) and mean.enough
    assert good.flags == {} and bad.flags == {"noise": 4}
    assert good.comparisons == {"preference": {"won": 4}} and bad.comparisons == {"preference": {"lost": 4}}
    assert (none.means, none.flags, none.comparisons) == ({}, {}, {})


def test_a_defect_reported_with_a_skip_is_on_the_page_of_the_pair(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "ratings", corpus=Corpus(1)).open()
    rater = stage.rater()
    shown = stage.served(rater)
    stage.test.flag(rater, shown.id, ["loop"])
    stage.test.skip(rater, shown.id)
    assert stage.test.of_pair("p0").flags == {"loop": 1}


def test_what_everybody_may_see_tells_nothing_about_known_items(stage: Stage) -> None:
    found = read_summary(stage.folder)
    assert all("measures" in row for row in found["raters"])
    for row in public_summary(found)["raters"]:
        assert "measures" not in row
        assert row["reasons"] == [] or row["state"] == "excluded"


def test_names_and_codes_are_in_no_table_and_no_export(stage: Stage, tmp_path: Path) -> None:
    _, code = stage.test.join("Secret Name", "both", consent=True)
    export(stage.folder, tmp_path / "out.jsonl")
    told = json.dumps(read_summary(stage.folder)) + (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert "Secret Name" not in told and "simulated" not in told and code not in told


def test_nothing_rated_is_a_summary_too() -> None:
    found = summary([], [])
    assert found["n_ratings"] == 0 and found["conditions"] == []


def test_the_same_events_give_the_same_bytes(stage: Stage, tmp_path: Path) -> None:
    for ending in ("csv", "jsonl"):
        first, second = tmp_path / f"a.{ending}", tmp_path / f"b.{ending}"
        manifest = export(stage.folder, first)
        assert export(stage.folder, second)["sha256"] == manifest["sha256"]
        assert first.read_bytes() == second.read_bytes()
        assert json.loads((tmp_path / f"a.{ending}.manifest.json").read_text())["rows"] == 36


@pytest.mark.parametrize("comment", ["=cmd|' /C calc'!A0", "<script>alert(1)</script>", 'a,"b"\nc', "'; DROP TABLE x"])
def test_a_hostile_comment_is_only_text(stage: Stage, tmp_path: Path, comment: str) -> None:
    shown = next(p for p in stage.test._ledger.state.presentations.values() if p.item.kind == "rating" and p.answer)
    assert shown.answer is not None
    given = type(shown.answer)(shown.answer.scores, None, (), comment)
    stage.test.edit(shown.rater, shown.id, given)
    assert comment in [row["comment"] for row in rows(stage.folder)[0]]
    export(stage.folder, tmp_path / "out.csv")
    text = (tmp_path / "out.csv").read_text(encoding="utf-8")
    read = [row["comment"] for row in csv.DictReader(io.StringIO(text))]
    assert ("'" + comment if comment.startswith("=") else comment) in read


def test_an_export_of_another_kind_is_refused(stage: Stage, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"\.csv or \.jsonl"):
        export(stage.folder, tmp_path / "out.xlsx")
    with pytest.raises(UserError, match="Cannot write"):
        export(stage.folder, tmp_path / "no" / "out.csv")


# -- the command line ------------------------------------------------------------------------------------------------


def test_the_command_line_summarises_exports_and_imports(
    stage: Stage, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STSMT_RATINGS", str(stage.folder))
    assert main(["ratings", "summary", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["n_counted"] == 36
    assert main(["ratings", "summary"]) == 0
    told = capsys.readouterr().out
    assert "adequacy" in told and "noise: 12" in told
    assert main(["ratings", "export", "-o", str(tmp_path / "out.csv")]) == 0
    assert main(["ratings", "import", str(stage.folder), "--ratings", str(tmp_path / "copy")]) == 0
    capsys.readouterr()
    assert main(["ratings", "summary", "--json", "--ratings", str(tmp_path / "copy")]) == 0
    copy = json.loads(capsys.readouterr().out)
    original = read_summary(stage.folder)
    assert copy == original


@pytest.mark.parametrize(
    "arguments",
    [
        ["ratings"],
        ["ratings", "summary", "--ratings", "nowhere"],
        ["ratings", "export", "-o", "x.csv", "--ratings", "nowhere"],
        ["ratings", "import", "nowhere", "--ratings", "there"],
    ],
)
def test_bad_input_is_one_line(
    arguments: list[str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith("error: ") and error.count("\n") == 1
