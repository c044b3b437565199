"""A phone guide for the language model: CTC over phones at a middle layer, where speech or a text to be spoken stands.

An attention model finds out slowly which speech a letter stands for: templates are learnt long before slots. Joint
CTC and attention training (Watanabe et al. 2017, "Hybrid CTC/Attention Architecture for End-to-End Speech
Recognition") shortens that search: lower layers are made to hear phones, so that what text attends to already says
what was spoken. A text that is about to be spoken is made to know its pronunciation in the same way, every token as
several frames (Libovický and Helcl 2018, "End-to-End Non-Autoregressive Neural Machine Translation with CTC"), so that
speech finds its place in it. The heads serve training alone and are thrown away.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from stsmt.prompt import Example, Language, PromptFormat, Task
from training.recogniser import ctc_loss, index_labels

FRAMES_PER_TOKEN = 8  # of text: more phones than any token of the vocabulary usually has


@dataclass(frozen=True)
class Span:
    """Positions `start` to `stop` of a row hold speech in which the phones `labels` are heard, or `text` read so."""

    start: int
    stop: int
    labels: list[int]
    row: int = 0
    text: bool = False


class PhoneLabels:
    """Phones of every utterance as numbers, looked up by language and text."""

    def __init__(self, rows: Iterable[dict[str, Any]]) -> None:
        said = {(row["language"], row["text"]): row["phones"].split() for row in rows}
        named = {key: [f"{key[0]}:{phone}" for phone in phones] for key, phones in said.items()}
        self.names, index = index_labels(named.values())
        self._numbers = {key: [index[name] for name in names] for key, names in named.items()}

    def find(self, prompt: PromptFormat, example: Example, ids: Sequence[int]) -> list[Span]:
        """The spans of speech in a rendered example whose text is known, source before target."""
        spoken: list[tuple[Language, str | None]] = []
        if example.source_codes is not None:
            spoken.append((example.source_language, example.source_text))
        if example.target_codes is not None:
            text = example.source_text if example.task is Task.TTS else example.target_text
            spoken.append((example.target_language, text))
        runs = speech_runs(prompt, ids)
        spans = [
            Span(start, stop, self._numbers[language, text])
            for (start, stop), (language, text) in zip(runs, spoken, strict=True)
            if text is not None and len(self._numbers[language, text]) < stop - start
        ]
        if example.target_codes is not None:
            spans += self._find_text(prompt, ids[: runs[-1][0]], *spoken[-1])
        return spans

    def _find_text(
        self, prompt: PromptFormat, before: Sequence[int], language: Language, text: str | None
    ) -> list[Span]:
        """The text that is spoken next, where it stands before its speech."""
        place = find_tokens(before, prompt.encode_text(text)) if text else None
        if text is None or place is None:
            return []
        labels = self._numbers[language, text]
        fits = len(labels) < FRAMES_PER_TOKEN * (place[1] - place[0])
        return [Span(*place, labels, text=True)] if fits else []


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


def find_tokens(ids: Sequence[int], wanted: Sequence[int]) -> tuple[int, int] | None:
    """Start and stop of the last place where `wanted` stands in `ids`."""
    for start in range(len(ids) - len(wanted), -1, -1):
        if wanted and list(ids[start : start + len(wanted)]) == list(wanted):
            return start, start + len(wanted)
    return None


class PhoneGuide(nn.Module):
    """The CTC heads; they listen in on the output of one layer of the model."""

    def __init__(self, layer: nn.Module, hidden: int, labels: int) -> None:
        super().__init__()
        self.norm, self.head = nn.LayerNorm(hidden), nn.Linear(hidden, labels)
        self.text_head = nn.Linear(hidden, FRAMES_PER_TOKEN * labels)
        self.heard: Tensor | None = None
        layer.register_forward_hook(self._listen)

    def _listen(self, _layer: nn.Module, _inputs: Any, output: Any) -> None:
        self.heard = output if isinstance(output, Tensor) else output[0]

    def loss(self, spans: Sequence[Span]) -> Tensor:
        """Mean CTC loss per phone over the spans of the batch that the model saw last, speech plus text; 0 without."""
        assert self.heard is not None
        total = self.heard.new_zeros(())
        for text, head, frames in ((False, self.head, 1), (True, self.text_head, FRAMES_PER_TOKEN)):
            chosen = [s for s in spans if s.text == text]
            if chosen:
                states = pad_sequence([self.heard[s.row, s.start : s.stop] for s in chosen], batch_first=True)
                logits = head(self.norm(states)).unflatten(-1, (frames, -1)).flatten(1, 2)
                lengths = torch.tensor([frames * (s.stop - s.start) for s in chosen])
                mask = torch.arange(logits.shape[1]) < lengths[:, None]
                total = total + ctc_loss(logits, mask, [s.labels for s in chosen])
        return total
