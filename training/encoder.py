"""Refine the codec's encoder for its decoder: `python -m training.encoder --work runs/embedded --minutes 30`.

What a code sounds like stays: decoder and code vectors are frozen, so codes made before and language models trained on
them remain valid. What changes is which codes are chosen for a sound. They are to sound like it (spectral loss), to be
heard as the same by the codec's recogniser as it was (semantic loss), and to tell the phones: two small heads, on the
recogniser and on the quantised latents, name the phone of every frame (`training.align` says which). The quantiser's
inputs are kept where its levels are used equally, as in the joint stage (`training.codec`). The heads and the copy of
the old recogniser are thrown away. Afterwards, `training.tokenise --again` makes the codes anew. On a CPU, one process
per core (`torchrun --nproc-per-node 2 -m training.encoder …`) gets more done than one with all threads.

With `--whole` the decoder and the code vectors learn, too: the language model has to learn all codes anew then, which
a GPU has the time for. `--polish N` goes on with the decoder alone against discriminators (`training.codec`) for N
minutes, and keeps what there was before in `work/codec-plain`: both have the same codes, the better one may be chosen.
"""

import argparse
import copy
import os
import random
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from transformers import Xcodec2Model

from stsmt.errors import UserError, stated_errors
from training.budget import Budget
from training.codec import (
    BATCH,
    CROP_FRAMES,
    DECODER_FILE,
    SEMANTIC_WEIGHT,
    SPREAD_WEIGHT,
    Heard,
    crop_waves,
    save_codec,
    spread_loss,
    train_decoder,
)
from training.codec import Schedule as DecoderSchedule
from training.loading import Batch, stream
from training.losses import SemanticLoss, SpectralLoss
from training.optimiser import Optimisers
from training.pack import read_aligned
from training.parallel import average_gradients, in_turn, join
from training.phones import IGNORE, PhoneHead, label_row, phone_loss
from training.precision import autocast
from training.recogniser import Batches, pad_features
from training.speech import Spoken, key_of, load_speech
from training.tokenise import encode_corpus

WEIGHTS = {"spectral": 1.0, "semantic": SEMANTIC_WEIGHT, "heard": 1.0, "kept": 1.0, "spread": SPREAD_WEIGHT}
HEADS_RATE, HEADS_ALONE = 2e-3, 60  # steps in which only the new heads learn
AUGMENTED_SHARE = 0.3
ENCODER = ("semantic_encoder.", "semantic_adapter.", "fc_encoder.", "quantizer.project_in.")
WHOLE = (*ENCODER, "acoustic_encoder.", "quantizer.project_out.", "acoustic_decoder.")
POLISHED = 0.4  # peak of the learning rate in the polishing


@dataclass(frozen=True)
class Schedule:
    """`minutes` of training at `peak` of the learning rate on batches of `rows` utterances; `again` starts a new
    schedule from the last checkpoint. `whole`: not only the encoder learns."""

    minutes: float
    again: bool = False
    peak: float = 0.5
    rows: int = BATCH
    whole: bool = False


@dataclass(frozen=True)
class Labelled:
    """An utterance and the label of each of its frames [frames]."""

    spoken: Spoken
    labels: Tensor

    @property
    def frames(self) -> int:
        return self.spoken.frames


class RefinedCodec(nn.Module):
    """The codec with heads for phones on what it hears and on what it keeps."""

    def __init__(self, codec: Xcodec2Model, labels: int) -> None:
        super().__init__()
        self.codec = codec
        self.hears = PhoneHead(codec.config.semantic_model_config.hidden_size, labels)
        self.keeps = PhoneHead(len(codec.config.quantization_levels), labels)

    def forward(self, features: Tensor, mask: Tensor, waves: Tensor, starts: Sequence[int]) -> tuple[Tensor, ...]:
        """(phones heard [B, F, V], phones kept in the crops [B, f, V], sound of the crops [B, T], spread loss)."""
        codec, frames = self.codec, waves.shape[-1] // self.codec.hop_length
        semantic = codec.semantic_encoder(features, attention_mask=mask).last_hidden_state
        adapted = codec.semantic_adapter((semantic * mask[..., None]).transpose(1, 2))
        crops = torch.stack([row[:, start : start + frames] for row, start in zip(adapted, starts, strict=True)])
        hidden = codec.fc_encoder(torch.cat([crops, codec.acoustic_encoder(waves)], 1).transpose(1, 2))
        quantizer = codec.quantizer
        inputs = quantizer.project_in(hidden)
        digits, _ = quantizer.quantizer(quantizer.quantizer.bound(inputs))
        made = codec.acoustic_decoder(quantizer.project_out(digits))[:, 0]
        return self.hears(semantic), self.keeps(digits), made, spread_loss(inputs)


def label_frames(work: Path, corpus: Sequence[Spoken]) -> tuple[list[Labelled], int]:
    """(the utterances whose phones are known in time, how many labels there are)."""
    rows = {key_of(row): row for split in ("train", "dev") for row in read_aligned(work, split)}
    index: dict[str, int] = {}
    found = []
    for spoken in corpus:
        row = rows.get((spoken.phrase, spoken.language, spoken.voice))
        if row is not None and row["cues"] is not None and spoken.frames > CROP_FRAMES:
            found.append(Labelled(spoken, label_row(row, spoken.frames, index)))
    return found, len(index)


@dataclass(frozen=True)
class Crops(Batch):
    """A batch: whole utterances to hear (features [B, F, 160], mask and labels [B, F]) and a piece of each to keep
    (sound [B, 1, T], its first frame, labels [B, f])."""

    features: Tensor
    mask: Tensor
    labels: Tensor
    waves: Tensor
    kept: Tensor
    starts: list[int]


def crop_batch(batch: Sequence[Labelled], rng: random.Random, hop: int) -> Crops:
    """`CROP_FRAMES` of every utterance, from anywhere in it."""
    spoken = [item.spoken for item in batch]
    starts = [rng.randrange(one.frames - CROP_FRAMES) for one in spoken]
    features, mask = pad_features(spoken)
    labels = nn.utils.rnn.pad_sequence([item.labels for item in batch], batch_first=True, padding_value=IGNORE)
    kept = torch.stack([row[start : start + CROP_FRAMES] for row, start in zip(labels, starts, strict=True)])
    return Crops(features, mask, labels, crop_waves(spoken, starts, CROP_FRAMES, hop), kept, starts)


def prepare(codec: Xcodec2Model, labels: int, trained: tuple[str, ...]) -> tuple[nn.Module, ...]:
    """The model, of which only the `trained` parts learn, and what judges its sound: spectral and semantic loss."""
    spectral, semantic = SpectralLoss(codec.config.sampling_rate), SemanticLoss(copy.deepcopy(codec.semantic_encoder))
    for name, parameter in codec.named_parameters():
        parameter.requires_grad_(name.startswith(trained))
    return RefinedCodec(codec, labels), spectral, semantic.requires_grad_(False)


def measure(model: nn.Module, batch: Crops, spectral: nn.Module, semantic: nn.Module) -> dict[str, Tensor]:
    """The losses of `WEIGHTS` on a batch."""
    hears, keeps, made, spread = model(batch.features, batch.mask, batch.waves, batch.starts)
    made, sound = made.float(), batch.waves[:, 0]
    return {
        "spectral": spectral(made, sound),
        "semantic": semantic(made, sound),
        "heard": phone_loss(hears, batch.labels),
        "kept": phone_loss(keeps, batch.kept),
        "spread": spread,
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
    model, spectral, semantic = prepare(codec, count, WHOLE if schedule.whole else ENCODER)
    for module in (model, spectral, semantic):
        module.to(device)
    learn = Optimisers((name, p) for name, p in model.named_parameters() if p.requires_grad)
    named_heads = [part for name in ("hears", "keeps") for part in model.get_submodule(name).parameters()]
    heads = torch.optim.AdamW(named_heads, lr=HEADS_RATE)
    state = {"model": model, "learn": learn, "heads": heads, "semantic": semantic}
    place, minutes, again, peak = work / "codec-encoder.pt", schedule.minutes, schedule.again, schedule.peak
    budget = Budget(place, minutes=minutes, state=state, name="encoder", again=again, peak=peak, rank=rank)
    drawn = seed + budget.step + 10**6 * rank

    def draw_in(number: int) -> Callable[[], Crops]:
        own = drawn + 10**7 * number
        batches, rng = Batches(labelled, schedule.rows, own), random.Random(own)
        return lambda: crop_batch(batches.draw(), rng, codec.hop_length)

    crops = stream(draw_in, 0 if device == "cpu" else max(1, (os.cpu_count() or 1) // 2))
    for number in budget.steps():
        batch = next(crops).to(device)
        with autocast(device):
            losses = measure(model, batch, spectral, semantic)
        if number < HEADS_ALONE:
            (losses["heard"] + losses["kept"]).backward()
            average_gradients(model.parameters())
            heads.step()
            model.zero_grad(set_to_none=True)
        else:
            learn.step(torch.stack([WEIGHTS[name] * loss for name, loss in losses.items()]).sum(), budget.rate)
        budget.report(**losses)
    if not rank:
        save_codec(codec, work)
        if schedule.whole:  # the checkpoint of a decoder that is no more
            (work / DECODER_FILE).unlink(missing_ok=True)


def polish(work: Path, corpus: Sequence[Spoken], minutes: float, rows: int, *, seed: int, device: str) -> None:
    """Train the decoder alone against discriminators on the codes of `corpus`; `work/codec-plain` is as it was."""
    in_turn(lambda: shutil.copytree(work / "codec", work / "codec-plain", dirs_exist_ok=True))
    codec = Xcodec2Model.from_pretrained(work / "codec", dtype=torch.float32).eval().to(device)
    labelled, _ = label_frames(work, corpus)
    codes = encode_corpus(codec, [item.spoken for item in labelled], device)
    pairs = zip(labelled, codes, strict=True)
    heard = [Heard(item.spoken.samples, row.astype(np.int64), item.labels.numpy()) for item, row in pairs]
    schedule = DecoderSchedule(minutes, alone=0.0, again=True, peak=POLISHED, rows=rows, frames=CROP_FRAMES)
    train_decoder(work, heard, schedule, seed=seed, device=device)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--again", action="store_true", help="a new schedule from the last checkpoint")
    parser.add_argument("--peak", type=float, default=0.5, help="of the learning rate")
    parser.add_argument("--whole", action="store_true", help="decoder and code vectors learn, too")
    parser.add_argument("--polish", type=float, default=0, help="minutes of the decoder against discriminators")
    parser.add_argument("--rows", type=int, default=BATCH, help="utterances in a batch; more on a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    with stated_errors():
        processes = os.cpu_count() or 1
        corpus = load_speech(a.work, augmented_share=AUGMENTED_SHARE, seed=a.seed, processes=processes)
        train = [spoken for spoken in corpus if spoken.split == "train"]
        schedule = Schedule(a.minutes, a.again, a.peak, a.rows, a.whole)
        refine(a.work, train, schedule, seed=a.seed, device=a.device)
        if a.polish:
            polish(a.work, train, a.polish, max(1, a.rows // 2), seed=a.seed, device=a.device)


if __name__ == "__main__":
    main()
