"""Small `Wav2Vec2BertForCTC` recognisers: the codec's semantic encoder (over phones) and the judge (over writing).

The judge hears Japanese as katakana and English as letters; it is trained with another seed and other augmentation
than the codec's recogniser and shares nothing with it. `python -m training.recogniser --work runs/embedded`.
"""

import argparse
import json
import os
import random
import sys
from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Wav2Vec2BertConfig, Wav2Vec2BertForCTC

from stsmt.audio import Audio, resample
from stsmt.errors import UserError
from stsmt.example import Language
from training.beam import search
from training.budget import Budget
from training.optimiser import Optimisers
from training.parallel import average_gradients
from training.precision import autocast
from training.speech import Spoken, load_speech, semantic_features
from training.voices import SAMPLE_RATE, katakana, letters

BLANK = 0
BATCH = 16  # utterances
UNMASKED_SHARE = 0.4  # of the time: masking before the alignment has formed keeps it from forming
LABELS_FILE = "labels.json"


def encoder_config(hidden: int, layers: int, vocabulary: int) -> Wav2Vec2BertConfig:
    """A small conformer over 160 features a frame, as W2V-BERT 2.0 has, without its layer drop."""
    return Wav2Vec2BertConfig(
        vocab_size=vocabulary,
        hidden_size=hidden,
        output_hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        feature_projection_input_dim=160,
        conv_depthwise_kernel_size=15,
        layerdrop=0.0,
        final_dropout=0.0,
        conformer_conv_dropout=0.0,
        feat_proj_dropout=0.0,
        apply_spec_augment=False,
        pad_token_id=BLANK,
        ctc_zero_infinity=True,
    )


def reinitialise(model: nn.Module, seed: int) -> None:
    """Draw every matrix anew with std 1/sqrt(fan in): the library's defaults do not train at these sizes."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        if parameter.ndim > 1 and "filter" not in name:
            fan_in = parameter[0].numel()
            with torch.no_grad():
                parameter.copy_(torch.randn(parameter.shape, generator=generator) * fan_in**-0.5)


def phone_labels(spoken: Spoken) -> list[str]:
    """What the codec's recogniser learns: phones, kept apart by language."""
    return [f"{spoken.language}:{phone}" for phone in spoken.phones]


def written_labels(spoken: Spoken) -> list[str]:
    """What the judge learns: katakana, or letters and spaces."""
    return list(reading(spoken.text, spoken.language) if spoken.reading is None else spoken.reading)


def reading(text: str, language: Language) -> str:
    """A text in the form in which the judge writes: katakana without marks, or lower-case letters."""
    return katakana(text) if language == "ja" else letters(text)


class Timed(Protocol):
    """What has a length in frames."""

    @property
    def frames(self) -> int: ...


T = TypeVar("T", bound=Timed)


class Batches(Generic[T]):
    """Draws batches of utterances of similar length, seeded."""

    def __init__(self, corpus: Sequence[T], size: int, seed: int) -> None:
        self.corpus = sorted(corpus, key=lambda s: s.frames)
        self.size, self.rng = size, random.Random(seed)

    def draw(self) -> list[T]:
        """Neighbours in length, so that little is padded."""
        start = self.rng.randrange(max(1, len(self.corpus) - 4 * self.size))
        return self.rng.sample(self.corpus[start : start + 4 * self.size], min(self.size, len(self.corpus)))


def pad_features(batch: Sequence[Spoken]) -> tuple[Tensor, Tensor]:
    """(features [B, F, 160] float32, mask [B, F] int64)."""
    longest = max(s.frames for s in batch)
    features = torch.zeros(len(batch), longest, 160)
    mask = torch.zeros(len(batch), longest, dtype=torch.long)
    for i, spoken in enumerate(batch):
        features[i, : spoken.frames] = torch.from_numpy(spoken.features.astype(np.float32))
        mask[i, : spoken.frames] = 1
    return features, mask


def ctc_loss(logits: Tensor, mask: Tensor, labels: Sequence[Sequence[int]]) -> Tensor:
    """Mean CTC loss of logits [B, F, V]."""
    log_probabilities = F.log_softmax(logits.float(), -1).transpose(0, 1)
    lengths = torch.tensor([len(row) for row in labels])
    flat = torch.tensor([label for row in labels for label in row], device=logits.device)
    return F.ctc_loss(log_probabilities, flat, mask.sum(1).cpu(), lengths, blank=BLANK, zero_infinity=True)


def mask_features(features: Tensor, generator: torch.Generator) -> Tensor:
    """SpecAugment-like: two spans of time and two of frequency are zeroed in every utterance."""
    features = features.clone()
    for row in features:
        for axis, longest in ((0, 12), (1, 24)):
            for _ in range(2):
                width = int(torch.randint(0, longest, (), generator=generator))
                start = int(torch.randint(0, max(1, row.shape[axis] - width), (), generator=generator))
                row.narrow(axis, start, min(width, row.shape[axis] - start)).zero_()
    return features


class Judge:
    """Transcribes speech for evaluation."""

    def __init__(self, model: Wav2Vec2BertForCTC, labels: list[str]) -> None:
        self.model, self.labels = model.eval(), labels

    @classmethod
    def load(cls, folder: Path) -> "Judge":
        """Read a judge that `save` wrote."""
        if not (folder / LABELS_FILE).exists():
            raise UserError(f"No judge in {folder}; train one with python -m training.recogniser.")
        labels = json.loads((folder / LABELS_FILE).read_text(encoding="utf-8"))
        return cls(Wav2Vec2BertForCTC.from_pretrained(folder, dtype=torch.float32), labels)

    def save(self, folder: Path) -> None:
        """Write weights (bfloat16) and labels."""
        self.model.to(torch.bfloat16).save_pretrained(folder)
        self.model.float()
        (folder / LABELS_FILE).write_text(json.dumps(self.labels, ensure_ascii=False), encoding="utf-8")

    @torch.inference_mode()
    def transcribe(self, audios: Sequence[Audio], language: Language) -> list[str]:
        """Katakana for ja (greedy), lower-case words for en (`training.beam`); labels of the other are left out."""
        return [self._transcribe(audio, language) for audio in audios]

    def _transcribe(self, audio: Audio, language: Language) -> str:
        features = semantic_features(resample(audio, SAMPLE_RATE).samples)
        logits = self.model(torch.from_numpy(features)[None]).logits[0]
        foreign = [i for i, label in enumerate(self.labels) if i and (language == "ja") == (label.isascii())]
        logits[:, foreign] = -torch.inf
        if language == "en":
            return search(F.log_softmax(logits, -1).numpy(), self.labels)
        best = [label for label, _ in groupby(logits.argmax(-1).tolist())]
        return "".join(self.labels[i] for i in best if i != BLANK).strip()


def train_judge(
    work: Path,
    *,
    minutes: float,
    seed: int,
    device: str,
    hidden: int,
    layers: int,
    limit: int | None = None,
    peak: float = 1.0,
    rows: int = BATCH,
) -> Judge:
    """Train the judge on `work/speech` (other augmentation than the codec's) and save it to `work/judge`.

    One that is there already and knows all characters is the start; it needs no guide, whose new head's loss would
    undo much of it.
    """
    processes = os.cpu_count() or 1
    spoken = load_speech(work, augmented_share=0.5, seed=seed + 1000, limit=limit, processes=processes)
    corpus = [s for s in spoken if s.split == "train"]
    labels, index = index_labels(written_labels(spoken) for spoken in corpus)
    earlier = Judge.load(work / "judge") if (work / "judge" / LABELS_FILE).exists() else None
    warm = earlier is not None and set(labels) <= set(earlier.labels)
    if earlier is not None and not warm:
        print("judge: the earlier one lacks characters of this corpus; a new one is trained", file=sys.stderr)
    if earlier is not None and warm:
        labels, index = earlier.labels, {label: i for i, label in enumerate(earlier.labels)}
    phone_names, phone_index = index_labels(phone_labels(spoken) for spoken in corpus)
    model = Wav2Vec2BertForCTC(encoder_config(hidden, layers, len(labels)))
    # Phones align within a few hundred steps, writing alone stays at its plateau for thousands: a second head leads.
    both = nn.ModuleDict({"model": model, "guide": nn.Linear(hidden, len(phone_names))})
    reinitialise(both, seed)
    if earlier is not None and warm:
        model.load_state_dict(earlier.model.state_dict())
    both.to(device).train()
    optimisers = Optimisers(both.named_parameters())
    state = {"model": both, "optimisers": optimisers}
    budget = Budget(work / "judge.pt", minutes=minutes, state=state, name="judge", peak=peak)
    batches, generator = Batches(corpus, rows, seed), torch.Generator().manual_seed(seed)
    for _ in budget.steps():
        batch = batches.draw()
        features, mask = pad_features(batch)
        if budget.progress > UNMASKED_SHARE:
            features = mask_features(features, generator)
        with autocast(device):
            states = model.wav2vec2_bert(features.to(device), attention_mask=mask.to(device)).last_hidden_state
            logits, guided = model.lm_head(states), both["guide"](states)
        written = ctc_loss(logits, mask, [[index[label] for label in written_labels(s)] for s in batch])
        phones = ctc_loss(guided, mask, [[phone_index[label] for label in phone_labels(s)] for s in batch])
        optimisers.step(written + (0.0 if warm else 1.0) * phones, budget.rate)
        budget.report(written=written, phones=phones)
    judge = Judge(model.cpu(), labels)
    judge.save(work / "judge")
    return judge


def index_labels(rows: Iterable[Sequence[str]]) -> tuple[list[str], dict[str, int]]:
    """All labels, the blank first, and their numbers."""
    labels = ["", *sorted({label for row in rows for label in row})]
    return labels, {label: i for i, label in enumerate(labels)}


def step(model: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor, rate: float) -> None:
    """One clipped optimiser step at a learning rate."""
    optimiser.zero_grad(set_to_none=True)
    loss.backward()
    average_gradients(model.parameters())
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for group in optimiser.param_groups:
        group["lr"] = rate
    optimiser.step()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--hidden", type=int, default=192)
    parser.add_argument("--layers", type=int, default=4)
    parser.add_argument("--peak", type=float, default=1.0, help="of the learning rate; about 0.5 for a warm start")
    parser.add_argument("--rows", type=int, default=BATCH, help="utterances in a batch; more on a GPU")
    parser.add_argument("--utterances", type=int, help="learn from a sample of so many")
    a = parser.parse_args()
    size = {"hidden": a.hidden, "layers": a.layers, "limit": a.utterances, "peak": a.peak, "rows": a.rows}
    train_judge(a.work, minutes=a.minutes, seed=a.seed, device=a.device, **size)


if __name__ == "__main__":
    main()
