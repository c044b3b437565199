"""Two reports are compared on what both have measured, and rare templates are shown apart."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.training.corpus import make_rows
from training.compare import main
from training.tokenise import write_rows


def record(number: int, template: str, transcript: str) -> dict[str, Any]:
    key = f"unseen_sentence/ja/{template}-{number}"
    texts = {
        "source_text": "駅はどこですか。",
        "target_text": "Where?",
        "source_reading": "エキ",
        "target_reading": "where",
    }
    names = {"key": key, "set": "unseen_sentence", "language": "ja", "target": "en", "phrase": key, "voice": "mei"}
    return {**names, **texts, "template": template, "source_seconds": 1.0, "parts": {"stt": {"transcript": transcript}}}


def write(folder: Path, records: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    lines = "".join(json.dumps(found, ensure_ascii=False) + "\n" for found in records)
    (folder / "items.jsonl").write_text(lines, encoding="utf-8")
    return folder


RIGHT, WRONG = "駅はどこですか。", "店はどこですか。"


def test_only_what_both_have_is_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    old = write(tmp_path / "old", [record(i, "a", WRONG) for i in range(4)])
    new = write(tmp_path / "new", [record(i, "a", RIGHT if i else WRONG) for i in range(9)])
    main([str(old), str(new)])
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "stt.transcript.error" in line)
    assert "n 4" in line and "14.3 (" in line and "3.6 (" in line


def test_rare_templates_stand_apart(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row | {"augmented": None} for row in make_rows()]
    write_rows(rows, tmp_path / "codes.parquet")
    report = write(tmp_path / "report", [record(0, rows[0]["template"], RIGHT), record(1, "never spoken", WRONG)])
    main([str(report), str(report), "--codes", str(tmp_path / "codes.parquet")])
    assert "| 0–19 |" in (told := capsys.readouterr().out) and "50 % (" in told


@pytest.mark.parametrize(
    "arguments", [["nowhere", "nowhere"], ["{new}", "{other}"], ["{new}", "{new}", "--codes", "x"]]
)
def test_what_cannot_be_compared_gets_a_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    new = write(tmp_path / "new", [record(0, "a", RIGHT)])
    other = write(tmp_path / "other", [record(1, "b", RIGHT)])
    with pytest.raises(SystemExit, match=r"^2$"):
        main([argument.format(new=new, other=other) for argument in arguments])
    assert capsys.readouterr().err.startswith("error: ")
