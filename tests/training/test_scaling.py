"""The scaling study learns from nested shares and reports both languages of every measure."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stsmt.errors import UserError
from training.scaling import MEASURES, cells, cut_codes, draw, markdown, measure_cell, prepare


def write_codes(folder: Path) -> None:
    rows = [{"phrase": f"p{i // 2:02}", "language": ("ja", "en")[i % 2], "split": "train"} for i in range(40)]
    pq.write_table(
        pa.Table.from_pylist([*rows, {"phrase": "d", "language": "ja", "split": "dev"}]), folder / "codes.parquet"
    )


def test_smaller_shares_lie_within_larger_ones_and_dev_stays_whole(tmp_path: Path) -> None:
    write_codes(tmp_path)
    kept = []
    for share in (0.25, 0.5, 1.0):
        count = cut_codes(tmp_path / "codes.parquet", tmp_path / "cut.parquet", share, seed=0)
        rows = pq.read_table(tmp_path / "cut.parquet").to_pylist()
        train = {row["phrase"] for row in rows if row["split"] == "train"}
        assert count == len(train) == 20 * share and len(rows) == 2 * len(train) + 1
        assert [row["phrase"] for row in rows if row["split"] == "dev"] == ["d"]
        kept.append(train)
    assert kept[0] < kept[1] < kept[2]


def test_a_model_of_the_study_starts_with_the_words_of_the_run_and_none_of_its_weights(tmp_path: Path) -> None:
    write_codes(tmp_path)
    for folder in ("lm", "codec"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"lacks cues\.parquet, lm/tokenizer\.json"):
        prepare(tmp_path, tmp_path / "cell", next(cells()), seed=0)
    (tmp_path / "cues.parquet").write_text("")
    for name in ("tokenizer.json", "prompt.json", "model.safetensors"):
        (tmp_path / "lm" / name).write_text("{}")
    prepare(tmp_path, tmp_path / "cell", next(cells()), seed=0)
    assert sorted(path.name for path in (tmp_path / "cell" / "lm").iterdir()) == ["prompt.json", "tokenizer.json"]


def test_a_model_that_was_not_trained_is_not_measured(tmp_path: Path) -> None:
    cell = next(cells())
    with pytest.raises(UserError, match=f"{cell.name} has not been trained"):
        measure_cell(tmp_path, cell, options=[], seed=0)


def test_the_report_has_a_line_per_model_and_both_languages(tmp_path: Path) -> None:
    rows: list[dict[str, Any]] = []
    for number, cell in enumerate(cells()):
        scores = [
            {"measure": key, "subject": subject, "value": number + 0.5, "low": number, "high": number + 1, "n": 7}
            for key, _ in MEASURES
            for subject in ("ja", "en")
        ]
        rows.append(
            {"name": cell.name, **vars(cell), "phrases": round(1000 * cell.share), "minutes": 20, "rows": scores}
        )
    lines = markdown(rows).splitlines()
    assert len([line for line in lines if line.startswith("| ")]) == 1 + 6
    assert "3.5 / 3.5" in lines[5] and "n ≥ 7" in lines[-1]
    draw(rows, tmp_path / "scaling.png")
    assert (tmp_path / "scaling.png").stat().st_size > 10_000
