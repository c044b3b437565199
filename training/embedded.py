"""The whole recipe for the bundled model: `python -m training.embedded --minutes 240 --device cpu`.

Runs the stages in order, each resumable by itself; a stage whose result exists and whose time is spent is passed
over. `--minutes` is shared out to the stages that train. Stop it at any time and start it again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

from stsmt.errors import UserError

SHARES = {"joint": 0.28, "decoder": 0.10, "judge": 0.10, "lm": 0.52}  # of the training minutes


def stages(work: Path, minutes: float, device: str, count: int) -> list[tuple[str, Path, list[str]]]:
    """(name, the file that shows that it is done or None, arguments of `python -m`) of every stage."""
    budget = {name: f"{share * minutes:.1f}" for name, share in SHARES.items()}
    common = ["--work", str(work)]
    where = [*common, "--device", device]
    codec = ["training.codec", *where]
    return [
        ("speech", work / "speech" / "done", ["training.synthesise", *common, "--phrases", str(count)]),
        ("codec", work / "joint.done", [*codec, "--minutes", budget["joint"]]),
        ("codes", work / "codes.parquet", ["training.tokenise", *where]),
        ("cues", work / "cues.parquet", ["training.align", *common]),
        ("judge", work / "judge.done", ["training.recogniser", *where, "--minutes", budget["judge"]]),
        ("lm", work / "lm.done", ["training.sft", *where, "--minutes", budget["lm"]]),
        ("decoder", work / "decoder.done", [*codec, "--minutes", "0", "--decoder", budget["decoder"]]),
    ]


def run(work: Path, *, minutes: float, device: str, count: int, assets: Path) -> None:
    """Run what is not done yet, then export to `assets`."""
    work.mkdir(parents=True, exist_ok=True)
    for name, marker, arguments in stages(work, minutes, device, count):
        if marker.exists():
            print(f"{name}: done", file=sys.stderr)
            continue
        if subprocess.run([sys.executable, "-m", *arguments]).returncode:
            raise UserError(f"The stage {name} stopped; repeat the same command to go on from its last checkpoint.")
        marker.touch()
    subprocess.run([sys.executable, "-m", "training.export", "--work", str(work), "--assets", str(assets)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"), help="corpus, checkpoints, logs")
    parser.add_argument("--assets", type=Path, default=Path("assets"), help="where the result goes")
    parser.add_argument("--minutes", type=float, default=240, help="training time in all, synthesis not counted")
    parser.add_argument("--device", default="cpu", help="cpu or cuda")
    parser.add_argument("--phrases", type=int, default=8000, help="phrase pairs to speak")
    a = parser.parse_args()
    try:
        run(a.work, minutes=a.minutes, device=a.device, count=a.phrases, assets=a.assets)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
