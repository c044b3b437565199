"""Batches that other processes draw, and the layers that a GPU compiles one by one."""

import random
from itertools import islice
from typing import Any

import pytest
import torch
from transformers import Lfm2ForCausalLM

from training.guide import PhoneGuide, Span
from training.loading import stream
from training.sft import compile_backbone, lm_config


def numbers(process: int) -> Any:
    rng = random.Random(process)
    return lambda: (process, rng.random())


def test_batches_come_in_turn_from_processes_of_which_each_draws_its_own() -> None:
    alone, several = (list(islice(stream(numbers, count), 6)) for count in (0, 2))
    assert [process for process, _ in alone] == [0] * 6 and [process for process, _ in several] == [0, 1] * 3
    for process in (0, 1):
        rng = random.Random(process)
        assert [value for drawn, value in several if drawn == process] == [rng.random() for _ in range(3)]
    assert [value for _, value in alone][:3] == [value for process, value in several if process == 0]


def test_layers_compiled_one_by_one_compute_what_the_model_does_and_the_guide_hears_them() -> None:
    torch.manual_seed(0)
    model = Lfm2ForCausalLM(lm_config(50, 0, 1, 2, hidden=64, layers=3)).model.eval()
    twin = compile_backbone(model, "cuda")
    guide = PhoneGuide(twin.layers[1], 64, 4)
    inputs = torch.randn(2, 9, 64)
    made = twin(inputs_embeds=inputs, use_cache=False).last_hidden_state
    assert torch.allclose(made, model(inputs_embeds=inputs, use_cache=False).last_hidden_state, atol=1e-5)
    loss = guide.loss([Span(0, 6, [1, 2], row=0), Span(3, 8, [3], row=1)])
    loss.backward()
    assert loss.item() > 0 and next(model.layers[0].parameters()).grad is not None
    assert next(model.layers[2].parameters()).grad is None, "what comes after the guide's layer is not heard"


def test_a_guides_loss_is_the_mean_over_its_spans() -> None:
    torch.manual_seed(0)
    guide = PhoneGuide(torch.nn.Identity(), 8, 4)
    guide.heard = torch.randn(2, 9, 8)
    spans = [Span(0, 6, [1, 2], row=0), Span(3, 8, [3, 1], row=1)]
    alone = [guide.loss([span]).item() for span in spans]
    assert guide.loss(spans).item() == pytest.approx(sum(alone) / 2, rel=1e-5)
