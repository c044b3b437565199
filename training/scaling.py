"""Was it the data, or the model? `python -m training.scaling --work runs/embedded --minutes 20 --device cuda`.

Trains the language model from nothing for every share of the spoken phrases and every size, each for the same minutes,
and measures all of them in the same way, chain and direct. Smaller shares are part of larger ones; dev sentences,
codec, cues and tokenizer stay the same. Finished trainings and measurements are not repeated. Writes `scaling.json`,
`scaling.md` and `scaling.png` into `--work/scaling`. A GPU may train several `--cells` at once (`--only train`);
listening to what they say wants CPUs (`--only measure --processes 2 --at-once 24`).
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stsmt.checkpoint import PROMPT_FILE, read_prompt
from stsmt.errors import UserError, stated_errors

SHARES = (0.25, 0.5, 1.0)  # of the spoken training phrases
SIZES = ((192, 6), (256, 8))  # width and layers
TRAINED = "trained"  # holds the minutes
MEASURES = (
    ("stt.transcript.error", "STT: CER ja / WER en"),
    ("chain.translation.chrf", "chain, translation chrF"),
    ("chain.heard.chrf", "chain, ASR-chrF of the speech"),
    ("direct.heard.chrf", "direct, ASR-chrF of the speech"),
)
Row = dict[str, Any]


@dataclass(frozen=True)
class Cell:
    """One model of the study."""

    share: float
    hidden: int
    layers: int

    @property
    def name(self) -> str:
        return f"{round(100 * self.share):03d}-{self.hidden}x{self.layers}"


def cells() -> Iterator[Cell]:
    """All models, small ones first."""
    return (Cell(share, *size) for size in SIZES for share in SHARES)


def cut_codes(source: Path, target: Path, share: float, seed: int) -> int:
    """Write a seeded share of the training phrases, and all others, to `target`; returns how many phrases train."""
    table = pq.read_table(source)
    phrases = sorted(
        {row["phrase"] for row in table.select(["phrase", "split"]).to_pylist() if row["split"] == "train"}
    )
    random.Random(seed).shuffle(phrases)  # the first of one order: smaller shares lie within larger ones
    kept = set(phrases[: round(share * len(phrases))])
    wanted = [row["split"] != "train" or row["phrase"] in kept for row in table.select(["phrase", "split"]).to_pylist()]
    pq.write_table(table.filter(wanted), target, compression="zstd")
    return len(kept)


def prepare(work: Path, folder: Path, cell: Cell, seed: int) -> int:
    """A run folder for one model; returns how many phrases it learns from.

    Raises:
        UserError: if `work` lacks something.
    """
    needed = ("codes.parquet", "cues.parquet", "codec", "lm/tokenizer.json")
    missing = [name for name in needed if not (work / name).exists()]
    if missing:
        raise UserError(f"{work} lacks {', '.join(missing)}; run the stages before the language model first.")
    (folder / "lm").mkdir(parents=True, exist_ok=True)
    for path in (work / "lm").iterdir():  # its words without its weights
        if path.suffix == ".json" and path.name not in ("config.json", "generation_config.json"):
            shutil.copy(path, folder / "lm")
    shutil.copy(work / "cues.parquet", folder)
    shutil.copytree(work / "codec", folder / "codec", dirs_exist_ok=True)
    return cut_codes(work / "codes.parquet", folder / "codes.parquet", cell.share, seed)


def train_cell(work: Path, cell: Cell, *, minutes: float, options: Sequence[object], seed: int) -> None:
    """Train a model from nothing, unless that was done."""
    folder = work / "scaling" / cell.name
    if (folder / TRAINED).exists():
        return
    prepare(work, folder, cell, seed)
    size = ["--hidden", cell.hidden, "--layers", cell.layers]
    _run("training.sft", "--work", folder, "--minutes", minutes, *size, *options)
    (folder / TRAINED).write_text(f"{minutes:g}", encoding="utf-8")


def measure_cell(work: Path, cell: Cell, *, options: Sequence[object], seed: int) -> Row:
    """What `training.evaluate` finds about a trained model.

    Raises:
        UserError: if it has not been trained.
    """
    folder = work / "scaling" / cell.name
    if not (folder / TRAINED).exists():
        raise UserError(f"The model {cell.name} has not been trained in {folder.parent}; run --only train first.")
    minutes = float((folder / TRAINED).read_text(encoding="utf-8"))
    phrases = prepare(work, folder, cell, seed)
    prompt = read_prompt(folder / "lm") | {"codec": str((folder / "codec").resolve())}
    (folder / "lm" / PROMPT_FILE).write_text(json.dumps(prompt, ensure_ascii=False), encoding="utf-8")
    _run("training.evaluate", "--model", folder / "lm", "--out", folder / "report", *options)
    report = json.loads((folder / "report" / "report.json").read_text(encoding="utf-8"))
    return {"name": cell.name, **vars(cell), "phrases": phrases, "minutes": minutes, "rows": report["rows"]}


def _run(module: str, *arguments: object) -> None:
    if subprocess.run([sys.executable, "-m", module, *map(str, arguments)]).returncode:
        raise UserError(f"{module} stopped; repeat the same command to go on.")


# -- the report ------------------------------------------------------------------------------------------------------


def found(row: Row, measure: str) -> list[Row]:
    """Both languages' (or directions') numbers of a measure."""
    return [entry for entry in row["rows"] if entry["measure"] == measure]


def markdown(rows: Sequence[Row]) -> str:
    """A table: a line per model, its measures for Japanese / English."""
    lines = [f"| model | phrases | {' | '.join(label for _, label in MEASURES)} |", "|---" * (2 + len(MEASURES)) + "|"]
    for row in rows:
        cells_ = (" / ".join(f"{entry['value']:.1f}" for entry in found(row, key)) for key, _ in MEASURES)
        lines.append(f"| {row['layers']} × {row['hidden']} | {row['phrases']:,} | {' | '.join(cells_)} |")
    n = min((entry["n"] for row in rows for key, _ in MEASURES for entry in found(row, key)), default=0)
    return "\n".join([*lines, "", f"{rows[0]['minutes']:g} minutes each; n ≥ {n} per direction."]) + "\n"


def draw(rows: Sequence[Row], path: Path) -> None:
    """One panel per measure: phrases against the score with its interval, a line per size and direction."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(MEASURES), 3.6), layout="constrained")
    for axis, (measure, label) in zip(figure.subplots(1, len(MEASURES)), MEASURES, strict=True):
        for size in dict.fromkeys((row["hidden"], row["layers"]) for row in rows):
            chosen = [row for row in rows if (row["hidden"], row["layers"]) == size]
            for subject in dict.fromkeys(entry["subject"] for row in chosen for entry in found(row, measure)):
                points = [(row["phrases"], e) for row in chosen for e in found(row, measure) if e["subject"] == subject]
                values = [entry["value"] for _, entry in points]
                spread = [[e["value"] - e["low"] for _, e in points], [e["high"] - e["value"] for _, e in points]]
                name = f"{size[1]} × {size[0]}, {subject}"
                axis.errorbar([count for count, _ in points], values, spread, marker="o", capsize=3, label=name)
        axis.set(title=label, xlabel="phrases", xscale="log")
    figure.axes[0].legend(fontsize=7)
    figure.savefig(path, dpi=110)


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--judge", type=Path, default=Path("assets/judge"))
    parser.add_argument("--minutes", type=float, default=20, help="of training for each of the six models")
    parser.add_argument("--n", type=int, default=100, help="utterances per direction")
    parser.add_argument("--rows", type=int, help="rows of a batch (default: as training.sft); more on a GPU")
    parser.add_argument("--cells", nargs="+", choices=[cell.name for cell in cells()], help="only these models")
    parser.add_argument("--only", choices=("train", "measure"), help="half of the work, on another machine, say")
    parser.add_argument("--processes", type=int, default=1, help="of the measuring")
    parser.add_argument("--at-once", type=int, default=1, help="utterances in each of them")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def main() -> None:
    a = make_parser().parse_args()
    chosen = [cell for cell in cells() if not a.cells or cell.name in a.cells]
    training = ["--device", a.device, *(["--rows", a.rows] if a.rows else [])]
    options = ["--judge", a.judge, "--sets", "unseen_sentence", "--n", a.n, "--device", a.device]
    options += ["--processes", a.processes, "--at-once", a.at_once]
    with stated_errors():
        if a.only != "measure":
            for cell in chosen:
                train_cell(a.work, cell, minutes=a.minutes, options=training, seed=a.seed)
        if a.only == "train":
            return
        rows = [measure_cell(a.work, cell, options=options, seed=a.seed) for cell in chosen]
    out = a.work / "scaling"
    (out / "scaling.json").write_text(json.dumps(rows, ensure_ascii=False, indent=1), encoding="utf-8")
    (out / "scaling.md").write_text(markdown(rows), encoding="utf-8")
    draw(rows, out / "scaling.png")
    print(markdown(rows))


if __name__ == "__main__":
    main()
