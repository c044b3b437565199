"""Refine the codec's encoder for its decoder: `python -m training.encoder --work runs/embedded --minutes 30`.

What a code sounds like stays: decoder and code vectors are frozen, so codes made before and language models trained on
them remain valid. What changes is which codes are chosen for a sound. They are to sound like it (spectral loss), to be
heard as the same by the codec's recogniser as it was (semantic loss), and to tell the phones: two small heads, on the
recogniser and on the quantised latents, name the phone of every frame (`training.align` says which). The heads and the
copy of the old recogniser are thrown away. Afterwards, `training.tokenise --again` makes the codes anew. On a CPU, one
process per core (`torchrun --nproc-per-node 2 -m training.encoder …`) gets more done than one with all threads.
"""

import argparse
import copy
import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Xcodec2Model

from stsmt.errors import UserError
from stsmt.example import SILENCE, cue_name
from training.budget import Budget
from training.codec import BATCH, CROP_FRAMES, SEMANTIC_WEIGHT, crop_waves, save_codec
from training.losses import SemanticLoss, SpectralLoss
from training.optimiser import Optimisers
from training.pack import read_aligned
from training.parallel import average_gradients, join
from training.precision import autocast
from training.recogniser import Batches, pad_features
from training.speech import Spoken, key_of, load_speech

WEIGHTS = {"spectral": 1.0, "semantic": SEMANTIC_WEIGHT, "heard": 1.0, "kept": 1.0}
HEADS_RATE, HEADS_ALONE = 2e-3, 60  # steps in which only the new heads learn
AUGMENTED_SHARE = 0.3
IGNORE = -100
TRAINED = ("semantic_encoder.", "semantic_adapter.", "fc_encoder.", "quantizer.project_in.")


@dataclass(frozen=True)
class Schedule:
    """`minutes` of training at `peak` of the learning rate; `again` starts a new schedule from the last checkpoint."""

    minutes: float
    again: bool = False
    peak: float = 0.5


@dataclass(frozen=True)
class Labelled:
    """An utterance and the label of each of its frames [frames]."""

    spoken: Spoken
    labels: Tensor

    @property
    def frames(self) -> int:
        return self.spoken.frames


class PhoneHead(nn.Module):
    """Hidden states [B, F, width] → logits [B, F, labels], with a few frames around each."""

    def __init__(self, width: int, labels: int) -> None:
        super().__init__()
        self.around = nn.Conv1d(width, 192, 7, padding=3)
        self.head = nn.Linear(192, labels)

    def forward(self, hidden: Tensor) -> Tensor:
        return self.head(F.gelu(self.around(hidden.transpose(1, 2))).transpose(1, 2))


class RefinedEncoder(nn.Module):
    """The codec's encoder with heads for phones; gradients reach all of it but the acoustic encoder."""

    def __init__(self, codec: Xcodec2Model, labels: int) -> None:
        super().__init__()
        self.codec = codec
        self.hears = PhoneHead(codec.config.semantic_model_config.hidden_size, labels)
        self.keeps = PhoneHead(len(codec.config.quantization_levels), labels)

    def forward(self, features: Tensor, mask: Tensor, waves: Tensor, starts: Sequence[int]) -> tuple[Tensor, ...]:
        """(phones heard [B, F, V], phones kept in the crops [B, f, V], sound of the crops [B, T])."""
        codec, frames = self.codec, waves.shape[-1] // self.codec.hop_length
        semantic = codec.semantic_encoder(features, attention_mask=mask).last_hidden_state
        adapted = codec.semantic_adapter((semantic * mask[..., None]).transpose(1, 2))
        crops = torch.stack([row[:, start : start + frames] for row, start in zip(adapted, starts, strict=True)])
        with torch.no_grad():
            acoustic = codec.acoustic_encoder(waves)
        hidden = codec.fc_encoder(torch.cat([crops, acoustic], 1).transpose(1, 2))
        quantizer = codec.quantizer
        digits, _ = quantizer.quantizer(quantizer.quantizer.bound(quantizer.project_in(hidden)))
        made = codec.acoustic_decoder(quantizer.project_out(digits))[:, 0]
        return self.hears(semantic), self.keeps(digits), made


def label_frames(work: Path, corpus: Sequence[Spoken]) -> tuple[list[Labelled], int]:
    """(the utterances whose phones are known in time, how many labels there are). An augmented copy may be faster or
    slower: its phones are as long in proportion."""
    rows = {key_of(row): row for split in ("train", "dev") for row in read_aligned(work, split)}
    index: dict[str, int] = {}
    found = []
    for spoken in corpus:
        row = rows.get((spoken.phrase, spoken.language, spoken.voice))
        if row is None or row["cues"] is None or spoken.frames <= CROP_FRAMES:
            continue
        names = [*(cue_name(spoken.language, phone) for phone in row["phones"].split()), SILENCE]
        stretch = spoken.frames / len(row["codes"])
        starts = [*(round(cue * stretch) for cue in row["cues"]), spoken.frames]
        labels = torch.full((spoken.frames,), IGNORE)
        for name, start, stop in zip(names, starts[:-1], starts[1:], strict=True):
            labels[start:stop] = index.setdefault(name, len(index))
        found.append(Labelled(spoken, labels))
    return found, len(index)


def phone_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy of [B, F, V]."""
    return F.cross_entropy(logits.float().flatten(0, 1), labels.flatten(), ignore_index=IGNORE)


@dataclass(frozen=True)
class Crops:
    """A batch: whole utterances to hear (features [B, F, 160], mask and labels [B, F]) and a piece of each to keep
    (sound [B, 1, T], its first frame, labels [B, f])."""

    features: Tensor
    mask: Tensor
    labels: Tensor
    waves: Tensor
    starts: list[int]
    kept: Tensor


def crop_batch(batch: Sequence[Labelled], rng: random.Random, hop: int, device: str) -> Crops:
    """`CROP_FRAMES` of every utterance, from anywhere in it."""
    spoken = [item.spoken for item in batch]
    starts = [rng.randrange(one.frames - CROP_FRAMES) for one in spoken]
    features, mask = pad_features(spoken)
    labels = nn.utils.rnn.pad_sequence([item.labels for item in batch], batch_first=True, padding_value=IGNORE)
    kept = torch.stack([row[start : start + CROP_FRAMES] for row, start in zip(labels, starts, strict=True)])
    waves = crop_waves(spoken, starts, CROP_FRAMES, hop)
    features, mask, labels, waves, kept = (t.to(device) for t in (features, mask, labels, waves, kept))
    return Crops(features, mask, labels, waves, starts, kept)


def prepare(codec: Xcodec2Model, labels: int) -> tuple[RefinedEncoder, SpectralLoss, SemanticLoss]:
    """The model, of which only the encoder learns, and what judges its sound."""
    spectral, semantic = SpectralLoss(codec.config.sampling_rate), SemanticLoss(copy.deepcopy(codec.semantic_encoder))
    for name, parameter in codec.named_parameters():
        parameter.requires_grad_(name.startswith(TRAINED))
    return RefinedEncoder(codec, labels), spectral, semantic.requires_grad_(False)


def measure(model: RefinedEncoder, batch: Crops, spectral: nn.Module, semantic: nn.Module) -> dict[str, Tensor]:
    """The losses of `WEIGHTS` on a batch."""
    hears, keeps, made = model(batch.features, batch.mask, batch.waves, batch.starts)
    made, sound = made.float(), batch.waves[:, 0]
    return {
        "spectral": spectral(made, sound),
        "semantic": semantic(made, sound),
        "heard": phone_loss(hears, batch.labels),
        "kept": phone_loss(keeps, batch.kept),
    }


def refine(work: Path, corpus: Sequence[Spoken], schedule: Schedule, *, seed: int, device: str) -> None:
    """Train and rewrite `work/codec`.

    Raises:
        UserError: if no utterance has known phones, or `training.align` has not been run.
    """
    rank = join(device)
    torch.manual_seed(seed)
    labelled, count = label_frames(work, corpus)
    if not labelled:
        raise UserError(f"No utterance of {work / 'speech'} has known phones and more than {CROP_FRAMES} frames.")
    codec = Xcodec2Model.from_pretrained(work / "codec", dtype=torch.float32).train()
    model, spectral, semantic = prepare(codec, count)
    for module in (model, spectral, semantic):
        module.to(device)
    learn = Optimisers((name, p) for name, p in model.named_parameters() if p.requires_grad)
    heads = torch.optim.AdamW([*model.hears.parameters(), *model.keeps.parameters()], lr=HEADS_RATE)
    state = {"model": model, "learn": learn, "heads": heads, "semantic": semantic}
    place, minutes, again, peak = work / "codec-encoder.pt", schedule.minutes, schedule.again, schedule.peak
    budget = Budget(place, minutes=minutes, state=state, name="encoder", again=again, peak=peak, rank=rank)
    drawn = seed + budget.step + 10**6 * rank
    batches, rng = Batches(labelled, BATCH, drawn), random.Random(drawn)
    for number in budget.steps():
        batch = crop_batch(batches.draw(), rng, codec.hop_length, device)
        with autocast(device):
            losses = measure(model, batch, spectral, semantic)
        if number < HEADS_ALONE:
            (losses["heard"] + losses["kept"]).backward()
            average_gradients(model.parameters())
            heads.step()
            model.zero_grad(set_to_none=True)
        else:
            learn.step(torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum(), budget.rate)
        budget.report(**{name: loss.item() for name, loss in losses.items()})
    if not rank:
        save_codec(codec, work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--again", action="store_true", help="a new schedule from the last checkpoint")
    parser.add_argument("--peak", type=float, default=0.5, help="of the learning rate")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    try:
        corpus = load_speech(a.work, augmented_share=AUGMENTED_SHARE, seed=a.seed)
        train = [spoken for spoken in corpus if spoken.split == "train"]
        refine(a.work, train, Schedule(a.minutes, a.again, a.peak), seed=a.seed, device=a.device)
    except UserError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
