"""Training computes in bfloat16 only where that is not a hundred times slower."""

import pytest
import torch

from training import precision
from training.precision import autocast


@pytest.mark.parametrize(("has", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_a_cpu_without_bfloat16_computes_in_float32(
    has: bool, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda device: has)
    with autocast("cpu"):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype


def test_every_gpu_has_bfloat16() -> None:
    assert precision.has_bfloat16("cuda")
