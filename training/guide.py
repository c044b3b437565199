"""A phone guide for the language model: CTC over phones at a middle layer, where speech is heard.

An attention model finds out slowly which speech a letter stands for: templates are learnt long before slots. Joint
CTC and attention training (Watanabe et al. 2017, "Hybrid CTC/Attention Architecture for End-to-End Speech
Recognition") shortens that search: lower layers are made to hear phones, so that what text attends to already says
what was spoken. The head serves training alone and is thrown away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from stsmt.example import Example
from stsmt.prompt import PromptFormat
from training.recogniser import ctc_loss, index_labels


@dataclass(frozen=True)
class Span:
    """Positions `start` to `stop` of a row hold speech in which the phones `labels` are heard."""

    start: int
    stop: int
    labels: list[int]
    row: int = 0


class PhoneLabels:
    """Phones of every utterance as numbers, looked up by language and text."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        said = {(row["language"], row["text"]): row["phones"].split() for row in rows}
        named = {key: [f"{key[0]}:{phone}" for phone in phones] for key, phones in said.items()}
        self.names, index = index_labels(named.values())
        self._numbers = {key: [index[name] for name in names] for key, names in named.items()}

    def find(self, prompt: PromptFormat, example: Example, ids: Sequence[int]) -> list[Span]:
        """The span of the speech that is heard in a rendered example, if its text is known."""
        if not example.source_codes or example.source_text is None:
            return []
        start, stop = speech_runs(prompt, ids)[0]
        labels = self._numbers[example.source_language, example.source_text]
        return [Span(start, stop, labels)] if len(labels) < stop - start else []


def speech_runs(prompt: PromptFormat, ids: Sequence[int]) -> list[tuple[int, int]]:
    """Start and stop of every run of speech tokens."""
    runs, start = [], None
    for position, token in enumerate([*ids, prompt.end_of_turn]):
        if token in prompt.speech_ids:
            start = position if start is None else start
        elif start is not None:
            runs.append((start, position))
            start = None
    return runs


class PhoneGuide(nn.Module):
    """The CTC head; it listens in on the output of one layer of the model.

    While it is `alone`, it learns without changing the model: a new head's loss (14 per phone) would undo much of what
    a finished model has found.
    """

    def __init__(self, layer: nn.Module, hidden: int, labels: int) -> None:
        super().__init__()
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, labels)
        self.heard: Tensor | None = None
        self.alone = False
        layer.register_forward_hook(self._listen)

    def _listen(self, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        self.heard = output if isinstance(output, Tensor) else output[0]

    def loss(self, spans: Sequence[Span]) -> Tensor:
        """Mean CTC loss per phone over the spans of the batch that the model saw last; 0 without."""
        assert self.heard is not None
        if not spans:
            return self.heard.new_zeros(())
        heard = self.heard.detach() if self.alone else self.heard
        lengths = torch.tensor([span.stop - span.start for span in spans])
        within = torch.arange(int(lengths.max()))
        begins = torch.tensor([span.row * heard.shape[1] + span.start for span in spans])
        positions = (begins[:, None] + within).clamp(max=heard.shape[0] * heard.shape[1] - 1)
        states = heard.flatten(0, 1).index_select(0, positions.flatten().to(heard.device))
        logits = self.head(self.norm(states)).unflatten(0, positions.shape)
        return ctc_loss(logits, within < lengths[:, None], [span.labels for span in spans])
