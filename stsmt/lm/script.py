"""What all engines do to a step of sampling: ids that come in a given order, and the end of a run of equal ids."""

from collections.abc import Sequence

import torch
from torch import Tensor


def follow(logits: Tensor, scripted: Tensor, following: int | None, stop: int) -> Tensor:
    """`logits` [n] with all the probability of the positions `scripted` [k] at the position `following`, in place.

    The model decides when the next id of the script comes, the script which one. `stop` is left out until the script
    is over (`following` is None); then nothing scripted comes any more.
    """
    whole = torch.logsumexp(logits[scripted], dim=0)
    logits[scripted] = -torch.inf
    if following is not None:
        logits[following] = whole
        logits[stop] = -torch.inf
    return logits


def in_run(made: Sequence[int], limit: int) -> bool:
    """Are the last `limit` ids of `made` all the same? Never for a limit of 0."""
    return 0 < limit <= len(made) and len(set(made[-limit:])) == 1
