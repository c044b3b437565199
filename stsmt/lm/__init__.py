"""The language model behind one protocol: token ids in, token ids out. It knows nothing of text, prompts or sound.

One file per engine; `load_lm` chooses. An engine samples from `Sampling.allowed` plus `Sampling.stop` and nothing else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from stsmt.checkpoint import loading, locate, read_config
from stsmt.errors import UserError

TRAINED_CONTEXT = 32768  # of LFM2, whose config claims 128,000 (https://huggingface.co/LiquidAI/LFM2-350M)


class Token(NamedTuple):
    """A generated id and its natural-log probability among the ids allowed there."""

    id: int
    log_probability: float


@dataclass(frozen=True)
class Sampling:
    """How to continue.

    Only ids in the ranges `allowed` (ascending, disjoint) and `stop` may come; `stop` not before `min_new_tokens`.
    `temperature` 0 is greedy; `top_k` 0 and `top_p` 1 are off. `frequency_penalty` is subtracted from an id's logit
    for each time it came among the last `repetition_window` ids. After `run_limit` equal ids (0: never) the next one is
    drawn at temperature 1: a sharpened distribution does not leave a pause that the model itself leaves now and then
    (after the repetition-aware sampling of VALL-E 2, Chen et al. 2024, arXiv:2406.05370).

    With a `script`, whichever of the ids in `scripted` (ranges within `allowed`) the model would take, the next one of
    the script comes in its place, and `stop` only after the last.

    With more than one of `beams`, the most probable of so many continuations that are followed side by side
    (`stsmt.lm.beam`); nothing comes before its end, and temperature, penalty, run limit and script do not count.

    Ids that repeat are a loop from `loop_minimum` on (`stsmt.health.is_loop`; 0: never). Beams that loop are left; with
    one, it is whoever reads the tokens that stops.
    """

    allowed: tuple[range, ...]
    stop: int
    max_new_tokens: int
    min_new_tokens: int = 0
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    repetition_window: int = 16
    frequency_penalty: float = 0.0
    run_limit: int = 0
    seed: int = 0
    script: tuple[int, ...] = ()
    scripted: tuple[range, ...] = ()
    beams: int = 1
    loop_minimum: int = 0


class LM(Protocol):
    """An engine with a model: `context` is the most ids of prompt and answer, `vocab_size` the ids it has."""

    @property
    def context(self) -> int: ...
    @property
    def vocab_size(self) -> int: ...

    def generate(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        """Continue `ids`; the last token is `stop`, or anything else where `max_new_tokens` ends it."""
        ...

    def next_log_probabilities(self, ids: Sequence[int], candidates: Sequence[int]) -> list[float]:
        """Natural-log probabilities of each candidate coming next, if it must be one of them."""
        ...


def load_lm(reference: str | Path, engine: str = "transformers", device: str = "cpu") -> LM:
    """The language model of a checkpoint, run by `engine` ("transformers" or "vllm").

    Raises:
        UserError: if the folder is missing, half-written or of another architecture, or the engine is not installed.
    """
    folder = locate(reference)
    config = read_config(folder, "lfm2", "language model")
    context = min(int(config.get("max_position_embeddings", TRAINED_CONTEXT)), TRAINED_CONTEXT)
    if engine == "transformers":
        from stsmt.lm.transformers import load

        return load(folder, device, context)
    if engine == "vllm":
        from stsmt.lm.vllm import load as load_vllm

        return load_vllm(folder, device, context)
    raise UserError(f"Unknown engine {engine!r}; choose transformers or vllm.")


def load_tokenizer(reference: str | Path) -> Any:
    """The transformers tokenizer of a checkpoint.

    Raises:
        UserError: if it is missing or broken.
    """
    folder = locate(reference)
    with loading(folder, "tokenizer"):
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, local_files_only=True)
