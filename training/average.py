"""Average a language model with the one that it was trained from: `python -m training.average --work runs/more`.

After a schedule that was too short, most tasks are better in the middle between both than at either end
(training/LOG.md, ninth checkpoint). Averaging a model with its fine-tuned self is WiSE-FT (Wortsman et al. 2022,
arXiv:2109.01903), averaging several "model soups" (Wortsman et al. 2022, arXiv:2203.05482). It costs nothing, neither
now nor later.
"""

import argparse
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from stsmt.errors import UserError, stated_errors

WEIGHTS = "model.safetensors"
AVERAGED = "averaged"  # in the metadata of such weights: averaging them again would move them once more


def average(before: dict[str, Tensor], after: dict[str, Tensor], share: float) -> dict[str, Tensor]:
    """`share` of the way from the weights `before` to those `after`.

    Raises:
        UserError: if they are not of the same model.
    """
    if {name: w.shape for name, w in before.items()} != {name: w.shape for name, w in after.items()}:
        raise UserError("The two language models are not of the same size; give the one that this run started from.")
    return {name: before[name].float().lerp(w.float(), share).to(w.dtype) for name, w in after.items()}


def replace(start: Path, file: Path, share: float) -> None:
    """Write the average of the weights `start` and `file` in place of `file`; an interrupted write leaves it whole.

    Raises:
        UserError: if a file is missing, broken or of another model, or `file` is an average already.
    """
    if missing := [each for each in (start, file) if not each.exists()]:
        raise UserError(f"There is no {missing[0]}; give --work and --start of the two models.")
    try:
        before, after = load_file(start), load_file(file)
        with safe_open(file, "pt") as opened:
            known = opened.metadata() or {}
    except SafetensorError as error:
        raise UserError(f"{start} or {file} is broken ({error}); make it again.") from None
    if AVERAGED in known:
        raise UserError(f"{file} is an average already; train again before averaging it again.")
    temporary = file.with_suffix(".tmp")
    save_file(average(before, after, share), temporary, {"format": "pt", AVERAGED: str(share)})
    temporary.rename(file)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"), help="the run; its lm is replaced")
    parser.add_argument("--start", type=Path, default=Path("assets/embedded"), help="checkpoint that it started from")
    parser.add_argument("--share", type=float, default=0.5, help="0: as it started, 1: as it is")
    a = parser.parse_args()
    with stated_errors():
        if not 0 <= a.share <= 1:
            raise UserError(f"--share must be between 0 and 1, not {a.share:g}.")
        replace(a.start / WEIGHTS, a.work / "lm" / WEIGHTS, a.share)


if __name__ == "__main__":
    main()
