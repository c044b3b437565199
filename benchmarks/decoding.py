"""How long a token takes: `python -m benchmarks.decoding [--tokens 150] [--repeat 20] [--conversations 2 4 8 16]`.

The engine's own forward pass against transformers' modules with their own cache, the same weights and ids in the same
process, taking turns; then against itself, for several conversations that share their passes. The last line is one JSON
document: milliseconds (median) and other ÷ this with a 95 % interval (bootstrap over the turns), for a prompt, for a
token after it, and for a token of each of so many conversations.
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


def shared_turn(decoder: Decoder, prompt: list[int], tokens: list[int], conversations: int) -> tuple[float, float]:
    """(milliseconds of a token in a conversation alone, of one where several share the passes)."""
    alone, states = decoder.start(), [decoder.start() for _ in range(conversations)]
    for state in (alone, *states):
        decoder.read(state, prompt)
    begun = time.perf_counter()
    for id in tokens:
        decoder.read(alone, [id])
    read = time.perf_counter()
    for id in tokens:
        decoder.read_each(states, [id] * conversations)
    shared = time.perf_counter() - read
    return 1e3 * (read - begun) / len(tokens), 1e3 * shared / len(tokens) / conversations


def interval(ours: np.ndarray, theirs: np.ndarray) -> list[float]:
    """95 % of the ratio of medians."""
    chance = np.random.default_rng(0)
    drawn = chance.integers(len(ours), size=(2000, len(ours)))
    ratios = np.median(theirs[drawn], axis=1) / np.median(ours[drawn], axis=1)
    return [round(float(bound), 2) for bound in np.quantile(ratios, (0.025, 0.975))]


def compare(model: Lfm2ForCausalLM, tokens: int, repeat: int, conversations: list[int]) -> dict[str, Any]:
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
        found[name] = row("transformers", measured[:, 0, place], measured[:, 1, place])
    decoder = Decoder(model, len(ids))
    for count in conversations:
        turns = [shared_turn(decoder, ids[:PROMPT], ids[PROMPT:], count) for _ in range(repeat + 1)]
        alone, shared = np.array(turns)[1:].T
        found[f"token of {count} conversations"] = row("alone", shared, alone)
    return found


def row(other: str, ours: np.ndarray, theirs: np.ndarray) -> dict[str, Any]:
    """Medians of the turns' milliseconds, and how often one fits into the other."""
    this, that = float(np.median(ours)), float(np.median(theirs))
    times = {"this_ms": round(this, 2), f"{other}_ms": round(that, 2)}
    return {**times, "ratio": round(that / this, 2), "interval": interval(ours, theirs)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, default=Path("assets/embedded"))
    parser.add_argument("--tokens", type=int, default=150, help="after the prompt, one at a time")
    parser.add_argument("--repeat", type=int, default=20)
    parser.add_argument("--conversations", type=int, nargs="*", default=[2, 4, 8, 16], help="that share their passes")
    options = parser.parse_args()
    model = Lfm2ForCausalLM.from_pretrained(options.model, dtype=torch.float32).eval()
    print(json.dumps(compare(model, options.tokens, options.repeat, options.conversations)))


if __name__ == "__main__":
    main()
