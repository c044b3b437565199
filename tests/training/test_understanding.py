"""Listeners learn phones from the original and tell the decoder which of them they miss in its sound."""

import pytest
import torch

from tests.training.test_recipe import small_config
from training.codec import JointCodec
from training.understanding import SHAPES, Ear, Shape, Understanding, masked, noisy

HOP, FRAMES = 320, 64


@pytest.fixture
def understanding() -> Understanding:
    codec = JointCodec(small_config(), 4, seed=0).codec.requires_grad_(False)
    torch.manual_seed(0)
    return Understanding(codec, 2)


@pytest.fixture
def crops() -> tuple[torch.Tensor, torch.Tensor]:
    """Sound that hisses and then hums, [4, T], and which of both it does, [4, frames]."""
    half = FRAMES // 2 * HOP
    real = torch.randn(4, 2 * half, generator=torch.Generator().manual_seed(1)) * 0.1
    real[:, half:] = 0.1 * torch.linspace(0, 800, half).sin()
    return real, (torch.arange(FRAMES) >= FRAMES // 2).long().expand(4, FRAMES)


def test_all_listeners_learn_phones_from_the_original_and_teach_the_decoder(
    understanding: Understanding, crops: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.understanding.HEAD_STEPS", 30)
    monkeypatch.setattr("training.understanding.EAR_STEPS", 30)
    real, labels = crops
    before = [loss.item() for loss in understanding(real, real, labels)]
    understanding.learn(lambda: (real, labels), "cpu")
    made = real.clone().requires_grad_()
    for _ in SHAPES:
        understanding.follow(real, labels, "cpu")
        semantic, *named = understanding(made, real, labels)
        assert semantic.item() == pytest.approx(0, abs=1e-5)
        for loss, first in zip(named, before[1:], strict=True):
            assert loss.item() < 0.5 * first
            (gradient,) = torch.autograd.grad(loss, made, retain_graph=True)
            assert gradient.abs().max() > 0
    listeners = [*understanding.phones.parameters(), *understanding.ears.parameters()]
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in listeners)


def test_every_ear_in_turn_goes_on_learning(
    understanding: Understanding, crops: tuple[torch.Tensor, torch.Tensor]
) -> None:
    changed = []
    for _ in range(2 * len(SHAPES)):
        before = [[p.clone() for p in ear.parameters()] for ear in understanding.ears]
        understanding.follow(*crops, "cpu")
        pairs = zip(before, understanding.ears, strict=True)
        changed.append([any(not p.equal(q) for p, q in zip(a, ear.parameters(), strict=True)) for a, ear in pairs])
        assert changed[-1][understanding.turn]
    assert all(sum(row) == 1 for row in changed), "one at a time"
    assert changed[: len(SHAPES)] == changed[len(SHAPES) :] and all(map(any, zip(*changed, strict=True)))


def test_what_a_checkpoint_has_taught_is_not_taught_again(
    understanding: Understanding, crops: tuple[torch.Tensor, torch.Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.understanding.HEAD_STEPS", 1)
    monkeypatch.setattr("training.understanding.EAR_STEPS", 1)
    understanding.learn(lambda: crops, "cpu")
    kept = {name: tensor.clone() for name, tensor in understanding.state_dict().items()}
    codec = JointCodec(small_config(), 4, seed=0).codec.requires_grad_(False)
    resumed = Understanding(codec, 2)
    resumed.load_state_dict(kept)
    resumed.learn(lambda: crops, "cpu")
    assert all(torch.equal(tensor, kept[name]) for name, tensor in resumed.state_dict().items())
    assert not any(p.requires_grad for p in [*resumed.phones.parameters(), *resumed.ears.parameters()])


@pytest.mark.parametrize("shape", SHAPES)
def test_an_ear_hears_what_is_near_and_not_how_loud_it_is(shape: Shape) -> None:
    torch.manual_seed(0)
    ear, wave = Ear(3, HOP, shape).eval(), torch.randn(1, FRAMES * HOP)
    changed = wave.clone()
    changed[:, : 16 * HOP] = torch.randn(1, 16 * HOP) * wave[:, : 16 * HOP].std()
    answers = []
    for sound in (wave, changed, 0.5 * wave):
        torch.manual_seed(7)  # the same noise, the same band
        answers.append(ear(sound)[0])
    same, other, quiet = answers
    assert same.shape == (FRAMES, 3)
    distance = (same - other).abs().amax(1)
    assert distance[:16].mean() > 10 * distance[40:].max()
    assert (same - quiet).abs().mean() < 0.01 * same.abs().mean()


def test_ears_listen_through_noise_of_ten_to_forty_decibels_and_without_some_neighbouring_bands() -> None:
    torch.manual_seed(0)
    wave = torch.randn(64, 16_000)
    ratio = 20 * torch.log10(wave.std(1) / (noisy(wave) - wave).std(1))
    assert 9.5 < ratio.min() < 15 and 35 < ratio.max() < 40.5
    hidden = [(masked(torch.ones(2, 257, 4)) == 0).all(2)[0].nonzero().flatten() for _ in range(40)]
    assert all(bands.diff().eq(1).all() and len(bands) < 257 // 5 for bands in hidden)
    assert len({(int(bands[0]), len(bands)) for bands in hidden if len(bands)}) > 20
