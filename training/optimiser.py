"""The optimiser of transformers in this recipe: Muon on hidden matrices, AdamW on everything else."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from training.parallel import average_gradients

MATRIX_RATE, OTHER_RATE = 2e-3, 2e-3
NOT_HIDDEN = ("embed", "shared", "head", "guide")  # parts of names: tables, and matrices at the model's ends


class Optimisers:
    """Muon (https://kellerjordan.github.io/posts/muon, scaled to AdamW's step size) beside AdamW."""

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        self.parameters: list[nn.Parameter] = []
        matrices: list[nn.Parameter] = []
        others: list[nn.Parameter] = []
        for name, parameter in named:
            hidden = parameter.ndim == 2 and not any(part in name for part in NOT_HIDDEN)
            (matrices if hidden else others).append(parameter)
            self.parameters.append(parameter)
        self.muon = torch.optim.Muon(matrices, lr=MATRIX_RATE, weight_decay=0.05, adjust_lr_fn="match_rms_adamw")
        self.adam = torch.optim.AdamW(others, lr=OTHER_RATE, betas=(0.9, 0.98), weight_decay=0.0)

    def step(self, loss: Tensor, rate: float) -> None:
        """One clipped step; `rate` scales both learning rates."""
        loss.backward()
        average_gradients(self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        for optimiser, peak in ((self.muon, MATRIX_RATE), (self.adam, OTHER_RATE)):
            for group in optimiser.param_groups:
                group["lr"] = peak * rate
            optimiser.step()
            optimiser.zero_grad(set_to_none=True)

    def state_dict(self) -> dict:
        return {"muon": self.muon.state_dict(), "adam": self.adam.state_dict()}

    def load_state_dict(self, state: dict) -> None:
        self.muon.load_state_dict(state["muon"])
        self.adam.load_state_dict(state["adam"])
