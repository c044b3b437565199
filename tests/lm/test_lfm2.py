"""The forward pass of our own says what transformers' modules say."""

from typing import Any

import pytest
import torch
from transformers import Lfm2Config, Lfm2ForCausalLM

from stsmt.lm.lfm2 import FIRST_ROOM, Decoder
from tests.tiny import tiny_lm

SHAPES: dict[str, dict[str, Any]] = {
    "as published": {},
    "every head its own keys": {"num_key_value_heads": 4},
    "one key for all": {"num_key_value_heads": 1},
    "wide convolution with bias": {"conv_L_cache": 5, "conv_bias": True},
    "the narrowest convolution": {"conv_L_cache": 2},
}


def model_of(**changes: Any) -> Lfm2ForCausalLM:
    config = tiny_lm(384).config.to_dict() | changes
    torch.manual_seed(1)
    model = Lfm2ForCausalLM(Lfm2Config(**config)).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "norm" in name or "bias" in name:
                parameter.normal_(1.0, 0.2)  # else they would be ones and zeros, which hide mistakes
    return model


def expected(model: Lfm2ForCausalLM, ids: list[int]) -> torch.Tensor:
    with torch.inference_mode():
        return model.model(input_ids=torch.tensor([ids])).last_hidden_state[0]


def ids_of(length: int) -> list[int]:
    return torch.randint(0, 384, (length,), generator=torch.Generator().manual_seed(0)).tolist()


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_pieces_of_any_length_give_the_hidden_states_of_the_whole(shape: dict[str, Any]) -> None:
    model, ids = model_of(**shape), ids_of(40)
    decoder, whole = Decoder(model, 1024), expected(model, ids)
    state, read = decoder.start(), 0
    for length in (1, 1, 7, 1, 2, 3, 20, 1, 1, 1, 2):
        decoder.read(state, ids[read : read + length])
        read += length
        assert torch.allclose(state.hidden, whole[read - 1], atol=1e-4), read
    assert state.ids == ids


def test_a_conversation_may_outgrow_its_first_room() -> None:
    model, ids = model_of(), ids_of(FIRST_ROOM + 30)
    decoder, whole = Decoder(model, 1024), expected(model, ids)
    state = decoder.start()
    decoder.read(state, ids[: FIRST_ROOM - 2])
    for id in ids[FIRST_ROOM - 2 :]:
        decoder.read(state, [id])
    assert torch.allclose(state.hidden, whole[-1], atol=1e-4)


def test_two_conversations_do_not_disturb_each_other() -> None:
    model = model_of()
    decoder = Decoder(model, 1024)
    first, second = decoder.start(), decoder.start()
    for one, other in zip(ids_of(20), reversed(ids_of(20))):
        decoder.read(first, [one])
        decoder.read(second, [other])
    assert torch.allclose(first.hidden, expected(model, first.ids)[-1], atol=1e-4)
    assert torch.allclose(second.hidden, expected(model, second.ids)[-1], atol=1e-4)


def test_ids_outside_of_the_vocabulary_leave_the_state_as_it_was() -> None:
    model = model_of()
    decoder = Decoder(model, 1024)
    state = decoder.start()
    decoder.read(state, [1, 2, 3])
    with pytest.raises(IndexError):
        decoder.read(state, [4, 10**6])
    decoder.read(state, [4])
    assert torch.allclose(state.hidden, expected(model, [1, 2, 3, 4])[-1], atol=1e-4)


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_several_conversations_in_one_pass_are_what_each_is_alone(shape: dict[str, Any]) -> None:
    model, ids = model_of(**shape), ids_of(FIRST_ROOM + 10)
    decoder = Decoder(model, 1024)
    states = [decoder.start() for _ in range(3)]
    for state, length in zip(states, (1, 9, FIRST_ROOM - 2), strict=True):
        decoder.read(state, ids[:length])
    for _ in range(4):  # the longest one outgrows its room meanwhile
        decoder.read_each(states, [ids[len(state.ids)] for state in states])
    for state in states:
        assert state.ids == ids[: len(state.ids)]
        assert torch.allclose(state.hidden, expected(model, state.ids)[-1], atol=1e-4)
