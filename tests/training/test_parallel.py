"""Several processes that train one model hold the same weights, those of one process with all their batches."""

import os
from pathlib import Path

import pytest
import torch
from torch import distributed as dist
from torch import multiprocessing, nn

from training.budget import Budget
from training.optimiser import Optimisers
from training.parallel import agree, average_gradients, in_turn, join

BATCHES = torch.randn(2, 5, 4, generator=torch.Generator().manual_seed(1))


def make_model() -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(4, 4)


def loss_of(model: nn.Module, batch: torch.Tensor) -> torch.Tensor:
    return model(batch).square().mean()


def _learn(rank: int, folder: str) -> None:
    os.environ |= {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29617"}
    assert join("cpu") == rank
    found = in_turn(lambda: (Path(folder) / "made").exists() or not (Path(folder) / "made").touch())
    assert found
    model = make_model()
    optimisers = Optimisers(model.named_parameters())
    budget = Budget(Path(folder) / "b.pt", minutes=0.01, state={"model": model}, name="test", rank=rank)
    for _ in budget.steps():
        optimisers.step(loss_of(model, BATCHES[rank]), 0.1)
    torch.save({"weight": model.weight, "steps": budget.step, "said": agree(float(rank))}, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


def test_two_processes_end_with_the_same_weights_after_the_same_steps(tmp_path: Path) -> None:
    multiprocessing.spawn(_learn, (str(tmp_path),), nprocs=2)
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in range(2))
    assert torch.equal(one["weight"], two["weight"]) and one["steps"] == two["steps"] > 0
    assert one["said"] == two["said"] == 0.0
    assert torch.equal(torch.load(tmp_path / "b.pt")["model"]["weight"], one["weight"])  # the first one saved
    alone = make_model()
    optimisers = Optimisers(alone.named_parameters())
    for _ in range(one["steps"]):
        optimisers.step((loss_of(alone, BATCHES[0]) + loss_of(alone, BATCHES[1])) / 2, 0.1)
    assert torch.allclose(alone.weight, one["weight"], atol=1e-3)


def test_alone_nothing_is_averaged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert join("cpu") == 0 and agree(2.5) == 2.5 and in_turn(lambda: 7) == 7
    model = make_model()
    loss_of(model, BATCHES[0]).backward()
    before = model.weight.grad
    average_gradients(model.parameters())
    assert model.weight.grad is before
