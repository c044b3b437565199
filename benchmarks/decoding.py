"""How long a token takes: `python -m benchmarks.decoding [--model assets/embedded] [--tokens 150] [--repeat 20]`.

The engine's own forward pass against transformers' modules with their own cache, the same weights and ids in the same
process, taking turns. The last line is one JSON document: milliseconds (median) and transformers ÷ this with a 95 %
interval (bootstrap over the turns), for a prompt and for a token after it.
"""

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import DynamicCache, Lfm2ForCausalLM

from stsmt.lm.lfm2 import Decoder

PROMPT = 150  # ids: two to three seconds of speech and the words around it


class Transformers:
    """The modules of transformers behind the methods of `Decoder`."""

    def __init__(self, model: Lfm2ForCausalLM) -> None:
        self._model = model

    def start(self) -> DynamicCache:
        return DynamicCache(config=self._model.config)

    @torch.inference_mode()
    def read(self, cache: DynamicCache, ids: list[int]) -> None:
        self._model.model(input_ids=torch.tensor([ids]), past_key_values=cache, use_cache=True)


def turn(decoder: Any, prompt: list[int], tokens: list[int]) -> tuple[float, float]:
    """(milliseconds of the prompt, milliseconds of each token after it)."""
    state, begun = decoder.start(), time.perf_counter()
    decoder.read(state, prompt)
    read = time.perf_counter()
    for id in tokens:
        decoder.read(state, [id])
    return 1e3 * (read - begun), 1e3 * (time.perf_counter() - read) / len(tokens)


def interval(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """95 % of the ratio of medians."""
    chance = np.random.default_rng(0)
    drawn = chance.integers(len(ours), size=(2000, len(ours)))
    ratios = np.median(theirs[drawn], axis=1) / np.median(ours[drawn], axis=1)
    return [round(float(bound), 2) for bound in np.quantile(ratios, (0.025, 0.975))]


def compare(model: Lfm2ForCausalLM, tokens: int, repeat: int) -> dict[str, Any]:
    """Both ways in turn; the first turn of each is not counted."""
    ids = torch.randint(
        model.config.vocab_size, (PROMPT + tokens,), generator=torch.Generator().manual_seed(0)
    ).tolist()
    ways: list[Callable[[], tuple[float, float]]] = [
        lambda decoder=decoder: turn(decoder, ids[:PROMPT], ids[PROMPT:])
        for decoder in (Decoder(model, len(ids)), Transformers(model))
    ]
    measured = np.array([[way() for way in ways] for _ in range(repeat + 1)])[1:]  # [turn, way, prompt or token]
    found: dict[str, Any] = {"turns": repeat, "threads": torch.get_num_threads()}
    for place, name in enumerate(("prompt", "token")):
        ours, theirs = measured[:, 0, place], measured[:, 1, place]
        this, other = float(np.median(ours)), float(np.median(theirs))
        found[name] = {
            "this_ms": round(this, 2),
            "transformers_ms": round(other, 2),
            "ratio": round(other / this, 2),
            "interval": interval(ours, theirs),
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("assets/embedded"))
    parser.add_argument("--tokens", type=int, default=150, help="after the prompt, one at a time")
    parser.add_argument("--repeat", type=int, default=20)
    options = parser.parse_args()
    model = Lfm2ForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    print(json.dumps(compare(model, options.tokens, options.repeat)))


if __name__ == "__main__":
    main()
