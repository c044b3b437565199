"""In which precision training computes."""

import torch


def has_bfloat16(device: str) -> bool:
    """Does the device multiply bfloat16 at least as fast as float32?

    A CPU without AVX-512 or the like takes a hundred times as long: 0.6 instead of 60 GFLOPS on one core.
    """
    if device != "cpu":
        return True
    return torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()


def autocast(device: str) -> torch.autocast:
    """The context of a forward pass: bfloat16 where the device has it, else float32."""
    return torch.autocast(device, torch.bfloat16, enabled=has_bfloat16(device))
