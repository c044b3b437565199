"""The decoder's losses measure what they say."""

import numpy as np
import torch

from stsmt.codec import HOP, features
from tests.tiny import tiny_codec
from training.losses import SemanticLoss


def test_the_semantic_loss_reads_the_codecs_own_features_with_gradients() -> None:
    generator = np.random.default_rng(0)
    samples = (generator.standard_normal(20 * HOP) * 0.1).astype(np.float32)
    samples[-1] = 0  # `features` appends one zero and pads to the next hop; here the length is a multiple already
    loss = SemanticLoss(tiny_codec().semantic_encoder)
    wanted = features(samples[:-1])["input_features"]
    wave = torch.tensor(samples)[None].requires_grad_()
    made = loss.features(wave)
    assert np.allclose(made.detach().numpy(), wanted, atol=2e-3)
    assert loss(wave, wave.detach()).item() < 1e-5
    other = torch.tensor(generator.standard_normal((1, 20 * HOP)).astype(np.float32) * 0.1)
    found = loss(wave, other)
    found.backward()
    assert found.item() > 0 and wave.grad is not None and wave.grad.isfinite().all()
