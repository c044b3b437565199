"""The whole recipe for the bundled model: `python -m training.embedded --minutes 240 --device cpu`.

Runs the stages in order, each resumable by itself; a stage whose result exists and whose time is spent is passed
over. `--minutes` is shared out to the stages that train and are not done. Stop it at any time and start it again.
"""

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from stsmt.errors import UserError, stated_errors
from training.pack import PHONES_FILE

SHARES = {"codec": 0.20, "encoder": 0.12, "decoder": 0.08, "judge": 0.10, "lm": 0.50}  # of the training minutes
GPU_ROWS = 96  # rows of a batch that keep a GPU busy
CPU_PROCESSES = min(4, os.cpu_count() or 1)  # of one thread each, where there is no GPU; each holds the whole corpus
WARM = ("--skip", "0.4", "--peak", "0.5")  # how the language model goes on from a checkpoint


@dataclass(frozen=True)
class Stage:
    """A program of the recipe: `marker` exists when it is done (None: it never is), `arguments` go to `python -m`."""

    name: str
    marker: Path | None
    arguments: list[str]


@dataclass(frozen=True)
class Plan:
    """What to run: all stages, or `only` those named; `warm` goes on from the language model in `work/lm`."""

    work: Path
    assets: Path
    minutes: float
    device: str
    phrases: int
    only: Sequence[str] = ()
    warm: bool = False

    def stages(self) -> list[Stage]:
        """The stages in order, the minutes shared out to those of them that train."""
        total = sum(share for name, share in SHARES.items() if not self.only or name in self.only) or 1.0
        minutes = {name: f"{self.minutes * share / total:.1f}" for name, share in SHARES.items()}
        work = ["--work", str(self.work)]
        where = [*work, "--device", self.device]
        on_cpu, codec = self.device == "cpu", ["training.codec", *where]
        several = ["torch.distributed.run", "--nproc-per-node", str(CPU_PROCESSES), "-m"] if on_cpu else []
        rows = [] if on_cpu else ["--rows", str(GPU_ROWS)]
        encoder = [*several, "training.encoder", *where, "--minutes", minutes["encoder"], *rows]
        decoder = [*several, *codec, "--minutes", "0", "--decoder", minutes["decoder"]]
        judge = ["training.recogniser", *where, "--minutes", minutes["judge"], *rows]
        lm = [*several, "training.sft", *where, "--minutes", minutes["lm"], *(WARM if self.warm else ()), *rows]
        codes = ["training.tokenise", *where, *(("--processes", str(CPU_PROCESSES)) if on_cpu else ())]
        found = [
            Stage(
                "speech", self.work / "speech" / "done", ["training.synthesise", *work, "--phrases", str(self.phrases)]
            ),
            Stage("phones", self.work / PHONES_FILE, ["training.pronounce", *work]),
            Stage("codec", self.work / "joint.done", [*codec, "--minutes", minutes["codec"]]),
            Stage("codes", self.work / "codes.done", codes),
            Stage("cues", self.work / "cues.parquet", ["training.align", *work]),
            Stage("encoder", self.work / "encoder.done", encoder),
            Stage("new-codes", self.work / "new-codes.done", [*codes, "--again"]),
            Stage("judge", self.work / "judge.done", judge),
            Stage("lm", self.work / "lm.done", lm),
            Stage("decoder", self.work / "decoder.done", decoder),
            Stage("export", None, ["training.export", *work, "--assets", str(self.assets)]),
        ]
        return [stage for stage in found if not self.only or stage.name in self.only]


STAGES = ("speech", "phones", "codec", "codes", "cues", "encoder", "new-codes", "judge", "lm", "decoder", "export")


def run(plan: Plan) -> None:
    """Run what is not done yet; stages that were named are run (and go on) in any case.

    Raises:
        UserError: if a stage stops.
    """
    plan.work.mkdir(parents=True, exist_ok=True)
    for stage in plan.stages():
        if stage.marker and stage.marker.exists() and not plan.only:
            print(f"{stage.name}: done", file=sys.stderr)
            continue
        if subprocess.run([sys.executable, "-m", *stage.arguments]).returncode:
            raise UserError(
                f"The stage {stage.name} stopped; repeat the same command to go on from its last checkpoint."
            )
        if stage.marker:
            stage.marker.touch()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"), help="corpus, checkpoints, logs")
    parser.add_argument("--assets", type=Path, default=Path("assets"), help="where the result goes")
    parser.add_argument("--minutes", type=float, default=240, help="training time in all, synthesis not counted")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--phrases", type=int, default=8000, help="phrase pairs to speak")
    parser.add_argument("--only", nargs="+", choices=STAGES, default=(), metavar="STAGE", help=", ".join(STAGES))
    parser.add_argument("--warm", action="store_true", help="go on from the language model in --work")
    a = parser.parse_args()
    with stated_errors():
        run(Plan(a.work, a.assets, a.minutes, a.device, a.phrases, tuple(a.only), a.warm))


if __name__ == "__main__":
    main()
