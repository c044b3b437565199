"""Average a language model with the one that it was trained from: `python -m training.average --work runs/more`.

After a schedule that was too short, most tasks are better in the middle between both than at either end
(training/LOG.md, ninth checkpoint). Averaging a model with its fine-tuned self is WiSE-FT (Wortsman et al. 2022,
arXiv:2109.01903), averaging several "model soups" (Wortsman et al. 2022, arXiv:2203.05482). It costs nothing, neither
now nor later.
"""

import argparse
import sys
from pathlib import Path

from safetensors.torch import load_file, save_file
from torch import Tensor

from stsmt.errors import UserError

WEIGHTS = "model.safetensors"


def average(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the way from the weights `before` to those `after`.

    Raises:
        UserError: if they are not of the same model.
    """
    if {name: w.shape for name, w in before.items()} != {name: w.shape for name, w in after.items()}:
        raise UserError("The two language models are not of the same size; give the one that this run started from.")
    return {name: before[name].float().lerp(w.float(), share).to(w.dtype) for name, w in after.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"), help="the run; its lm is replaced")
    parser.add_argument("--start", type=Path, default=Path("assets/embedded"), help="checkpoint that it started from")
    parser.add_argument("--share", type=float, default=0.5, help="0: as it started, 1: as it is")
    a = parser.parse_args()
    files = [a.start / WEIGHTS, a.work / "lm" / WEIGHTS]
    try:
        if missing := [file for file in files if not file.exists()]:
            raise UserError(f"There is no {missing[0]}; give --work and --start of the two models.")
        if not 0 <= a.share <= 1:
            raise UserError(f"--share must be between 0 and 1, not {a.share:g}.")
        before, after = (load_file(file) for file in files)
        save_file(average(before, after, a.share), files[1], {"format": "pt"})
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
