"""Train the small `Xcodec2Model`: `python -m training.codec --work runs/embedded --minutes 30 --decoder 15`.

Stage *joint*: everything is trained together on multi-scale spectral losses and a CTC loss over phones on the semantic
encoder (the codec's recogniser). Then encoder and quantiser are frozen - the codes are final, and the language model
can be trained on them - and stage *decoder* goes on with the decoder alone: first on the spectral losses and on what
the codec's recogniser hears, the phones above all, then also against spectrogram discriminators. `training.align` says
when each phone is said. On a CPU, one process per core (`torchrun --nproc-per-node 2 -m training.codec …`) gets more of
that stage done than one with all threads.

The acoustic encoder's strides start with the large one: its anti-aliased full-rate stages dominate a step on a CPU.
"""

import argparse
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import Xcodec2Config, Xcodec2Model

from stsmt.errors import UserError, stated_errors
from training.budget import Budget
from training.losses import Discriminators, SpectralLoss
from training.optimiser import Optimisers
from training.pack import IGNORE, read_aligned
from training.parallel import join
from training.phones import label_row
from training.precision import autocast
from training.recogniser import Batches, ctc_loss, encoder_config, pad_features, phone_labels, reinitialise, step
from training.speech import Spoken, key_of, load_speech, read_rows
from training.understanding import Understanding

CROP_FRAMES = 64  # 1.28 s of sound are reconstructed from every utterance of a batch
BATCH = 12
RATE = 1e-3
CTC_WEIGHT = 1.0
SEMANTIC_WEIGHT = 6.0
CRITIC_RATE = 1e-3
PHONE_WEIGHT = 2.5
DECODER_FILE = "codec-decoder.pt"
# Where the quantiser's input should lie so that X-Codec2's four levels (it bounds twice) are used equally: the inner
# thresholds are at -0.81, -0.24 and 0.41. Without the pull, inputs drift into the flat part and one code is left.
LATENT_MEAN, LATENT_STD, SPREAD_WEIGHT = -0.22, 0.9, 1.0


def codec_config(
    hidden: int = 256, layers: int = 3, semantic: int = 256, semantic_layers: int = 4, levels: int = 6
) -> Xcodec2Config:
    """16 kHz, 50 codes/s, 4^`levels` codes."""
    return Xcodec2Config(
        hidden_size=hidden,
        intermediate_size=3 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=hidden // 4,
        activation_dropout=0.0,
        encoder_hidden_size=4,
        downsampling_ratios=[10, 8, 4],
        quantization_dim=hidden + semantic,
        quantization_levels=[4] * levels,
        semantic_model_config=encoder_config(semantic, semantic_layers, 1).to_dict(),
    )


RECOGNISER = ("head.", "codec.semantic_encoder.")


class JointCodec(nn.Module):
    """The codec with a CTC head on its semantic encoder; gradients reach everything."""

    def __init__(self, config: Xcodec2Config, labels: int, seed: int) -> None:
        super().__init__()
        self.codec = Xcodec2Model(config)
        self.head = nn.Linear(config.semantic_model_config.hidden_size, labels)
        reinitialise(self, seed)

    def forward(self, features: Tensor, mask: Tensor, waves: Tensor, starts: Sequence[int]) -> tuple[Tensor, ...]:
        """(CTC logits [B, F, V], reconstructed crops [B, T], spread loss) for crops `waves` [B, 1, T] from `starts`.

        `starts` are frames. `Xcodec2Model.encode` runs the semantic encoder without gradients; here its steps are
        taken one by one.
        """
        codec, frames = self.codec, waves.shape[-1] // self.codec.hop_length
        semantic = codec.semantic_encoder(features, attention_mask=mask).last_hidden_state
        adapted = codec.semantic_adapter((semantic * mask[..., None]).transpose(1, 2))
        crops = torch.stack([row[:, start : start + frames] for row, start in zip(adapted, starts, strict=True)])
        hidden = codec.fc_encoder(torch.cat([crops, codec.acoustic_encoder(waves)], 1).transpose(1, 2))
        latents, _ = codec.quantizer(hidden)
        spread = spread_loss(codec.quantizer.project_in(hidden))
        return self.head(semantic), codec.acoustic_decoder(latents)[:, 0], spread


def spread_loss(inputs: Tensor) -> Tensor:
    """How far the quantiser's inputs [B, F, digits] are from where its levels are used equally."""
    flat = inputs.float().flatten(0, 1)
    return ((flat.mean(0) - LATENT_MEAN) ** 2 + (flat.std(0) - LATENT_STD) ** 2).mean()


def crop_waves(batch: Sequence[Spoken], starts: Sequence[int], frames: int, hop: int) -> Tensor:
    """Sound of the crops, [B, 1, frames × hop], zero-padded at the end of the utterance."""
    waves = torch.zeros(len(batch), 1, frames * hop)
    for i, (spoken, start) in enumerate(zip(batch, starts, strict=True)):
        piece = spoken.samples[start * hop : (start + frames) * hop].astype(np.float32) / 32768.0
        waves[i, 0, : len(piece)] = torch.from_numpy(piece)
    return waves


def train_joint(
    work: Path, corpus: Sequence[Spoken], *, minutes: float, seed: int, device: str, warm: Path | None = None
) -> Xcodec2Model:
    """Stage one; writes `work/codec` (weights rounded to bfloat16, as they are shipped).

    `warm` is another run's `codec-joint.pt`, of which only the recogniser is taken.
    """
    corpus = [s for s in corpus if s.frames > CROP_FRAMES]
    labels = ["", *sorted({label for spoken in corpus for label in phone_labels(spoken)})]
    index = {label: i for i, label in enumerate(labels)}
    model = JointCodec(codec_config(), len(labels), seed).to(device).train()
    spectral = SpectralLoss(model.codec.config.sampling_rate).to(device)
    optimiser = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.98), weight_decay=0.01)
    if warm is not None:
        old = torch.load(warm, map_location="cpu", weights_only=True)["model"]
        model.load_state_dict({k: v for k, v in old.items() if k.startswith(RECOGNISER)}, strict=False)
    state = {"model": model, "optimiser": optimiser}
    budget = Budget(work / "codec-joint.pt", minutes=minutes, state=state, name="codec, joint")
    encoder = model.codec.acoustic_encoder
    if device == "cpu":  # the anti-aliased activations are many small operations: fusing them saves a third
        encoder.forward = torch.compile(encoder.forward)  # type: ignore[method-assign]
    batches, rng = Batches(corpus, BATCH, seed), random.Random(seed)
    for _ in budget.steps():
        batch = batches.draw()
        starts = [rng.randrange(s.frames - CROP_FRAMES) for s in batch]
        waves = crop_waves(batch, starts, CROP_FRAMES, model.codec.hop_length).to(device)
        features, mask = (t.to(device) for t in pad_features(batch))
        with autocast(device):
            logits, made, spread = model(features, mask, waves, starts)
        ctc = ctc_loss(logits, mask, [[index[label] for label in phone_labels(s)] for s in batch])
        sound = spectral(made.float(), waves[:, 0])
        loss = sound + CTC_WEIGHT * ctc + SPREAD_WEIGHT * spread
        step(model, optimiser, loss, RATE * budget.rate)
        budget.report(spectral=sound, ctc=ctc, spread=spread)
    return save_codec(model.codec, work)


def save_codec(codec: Xcodec2Model, work: Path) -> Xcodec2Model:
    """Round to bfloat16 (as shipped), write `work/codec`, and read it back in float32."""
    codec.cpu().to(torch.bfloat16).save_pretrained(work / "codec")
    return Xcodec2Model.from_pretrained(work / "codec", dtype=torch.float32).eval()


@dataclass(frozen=True)
class Heard:
    """An utterance of the decoder's stage: int16 samples [T], its codes and the labels of its phones [frames]."""

    samples: np.ndarray
    codes: np.ndarray
    labels: np.ndarray


def read_heard(work: Path) -> list[Heard]:
    """Every training utterance that was spoken, encoded and aligned.

    Raises:
        UserError: if `training.align` has not been run since the codes were made, or there are no codes.
    """
    rows, index = {key_of(row): row for row in read_aligned(work, "train")}, dict[str, int]()
    spoken = ((rows.get(key_of(row)), samples) for row, samples in read_rows(work))
    return [
        Heard(samples, np.array(row["codes"], np.int64), label_row(row, len(row["codes"]), index).numpy())
        for row, samples in spoken
        if row is not None
    ]


def draw_crops(heard: Sequence[Heard], schedule: "Schedule", rng: random.Random, hop: int) -> tuple[Tensor, ...]:
    """(sound [B, T] float32, codes [B, frames, 1], labels [B, frames]) of random crops."""
    waves, codes, labels = [], [], []
    for one in rng.sample(heard, schedule.rows):
        start = rng.randrange(len(one.codes) - schedule.frames)
        stop = start + schedule.frames
        piece = one.samples[start * hop : stop * hop].astype(np.float32) / 32768.0
        waves.append(F.pad(torch.from_numpy(piece), (0, schedule.frames * hop - len(piece))))
        codes.append(torch.from_numpy(one.codes[start:stop]))
        labels.append(torch.from_numpy(one.labels[start:stop]))
    return torch.stack(waves), torch.stack(codes)[..., None], torch.stack(labels)


@dataclass(frozen=True)
class Schedule:
    """`minutes` of the decoder's training at `peak` of the learning rate on batches of `rows` crops of so many `frames`
    (features are normalised over what is heard: 2 s are nearly a sentence), the share `alone` without discriminators.
    `again` starts a new schedule from the last checkpoint.
    """

    minutes: float
    alone: float = 0.5
    again: bool = False
    peak: float = 1.0
    rows: int = BATCH
    frames: int = 100


def train_decoder(work: Path, heard: Sequence[Heard], schedule: Schedule, *, seed: int, device: str) -> None:
    """Stage two: the decoder alone, on final codes; rewrites `work/codec`.

    Raises:
        UserError: if there are too few utterances for a batch.
    """
    usable = [one for one in heard if len(one.codes) > schedule.frames and (one.labels != IGNORE).any()]
    if not 0 < schedule.rows <= len(usable):
        raise UserError(
            f"A batch of {schedule.rows} crops wants as many utterances that are long enough and have sound, codes and "
            f"known phones, and {work} has {len(usable)}; "
            "speak what has codes with: python -m training.synthesise --known."
        )
    rank = join(device)
    torch.manual_seed(seed)
    codec = Xcodec2Model.from_pretrained(work / "codec", dtype=torch.float32).to(device).train()
    codec.requires_grad_(False)
    decoder = codec.acoustic_decoder.requires_grad_(True)
    critic = Discriminators().to(device)
    spectral = SpectralLoss(codec.config.sampling_rate).to(device)
    known = 1 + max(int(one.labels.max()) for one in usable)
    understanding = Understanding(codec, known).to(device)
    learn = Optimisers(decoder.named_parameters())
    judge = torch.optim.AdamW(critic.parameters(), lr=CRITIC_RATE, betas=(0.8, 0.98))
    state = {"decoder": decoder, "critic": critic, "learn": learn, "judge": judge}
    state[f"understanding of {known}"] = understanding  # of more labels than the checkpoint's it learns anew
    minutes, again, peak = schedule.minutes, schedule.again, schedule.peak
    file = work / DECODER_FILE
    budget = Budget(file, minutes=minutes, state=state, name="codec, decoder", again=again, peak=peak, rank=rank)
    rng, hop = random.Random(seed + budget.step + 10**6 * rank), codec.hop_length

    def draw() -> tuple[Tensor, ...]:
        return tuple(part.to(device) for part in draw_crops(usable, schedule, rng, hop))

    understanding.learn(draw, device)
    for _ in budget.steps():
        real, codes, labels = draw()
        understanding.follow(real, labels, device)
        with autocast(device):
            made = decoder(codec.quantizer.from_codes(codes))[:, 0].float()
            meaning, phones, ear = understanding(made, real, labels)
        sound = spectral(made, real)
        loss = sound + SEMANTIC_WEIGHT * meaning + PHONE_WEIGHT * (phones + ear)
        if budget.progress >= schedule.alone:
            # The discriminators do not see the outermost frames: a crop has no context there.
            inner = slice(2 * hop, -2 * hop)
            critic_loss = critic.critic_loss(made[:, inner], real[:, inner])
            step(critic, judge, critic_loss, CRITIC_RATE * budget.rate)
            adversarial, matching = critic.generator_loss(made[:, inner], real[:, inner])
            loss = loss + adversarial + 2 * matching
            budget.report(critic=critic_loss, matching=matching)
        learn.step(loss, budget.rate)
        budget.report(spectral=sound, semantic=meaning, phones=phones, ear=ear)
    if not rank:
        save_codec(codec, work)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--minutes", type=float, default=30, help="joint stage; 0 skips it")
    parser.add_argument("--decoder", type=float, default=0, help="minutes of the decoder's own stage")
    parser.add_argument("--alone", type=float, default=0.5, help="share of that before the discriminators join")
    parser.add_argument("--again", action="store_true", help="the decoder: a new schedule from the last checkpoint")
    parser.add_argument(
        "--peak", type=float, default=1.0, help="the decoder: of the learning rate; less for a good one"
    )
    parser.add_argument("--rows", type=int, default=BATCH, help="the decoder: crops in a batch; more on a GPU")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--warm", type=Path, help="take the recogniser of this codec-joint.pt")
    a = parser.parse_args()
    with stated_errors():
        if a.minutes:
            corpus = load_speech(a.work, augmented_share=0.3, seed=a.seed)
            train = [s for s in corpus if s.split == "train"]
            train_joint(a.work, train, minutes=a.minutes, seed=a.seed, device=a.device, warm=a.warm)
        if a.decoder:
            schedule = Schedule(a.decoder, a.alone, a.again, a.peak, a.rows)
            train_decoder(a.work, read_heard(a.work), schedule, seed=a.seed, device=a.device)


if __name__ == "__main__":
    main()
