"""What is understood of the sound that a codec's decoder makes: the same, it should be, as of the original.

Two listeners are asked, and the decoder is told what they should have heard: the codec's own recogniser, which knows
long stretches of speech, and an ear that learns from nothing but spectrograms and looks a third of a second to either
side. What both hear is in the sound; what pleases one alone may be a quirk of it.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import Xcodec2Model

from training.losses import SemanticLoss
from training.parallel import average_gradients
from training.phones import PhoneHead, phone_loss
from training.precision import autocast

HEAD_STEPS, EAR_STEPS = 500, 1500
RATE = 2e-3
WIDTH, KERNEL, DILATIONS = 224, 5, (1, 2, 4)
WINDOW, FFT = 400, 512  # samples of a spectrogram's frame; four frames begin within a code's time
POWER_FLOOR = 1e-5
QUIET, LOUD = 40.0, 10.0  # the noise that the ear listens through: signal-to-noise ratio in dB
MASKED = 50  # fewer of a spectrogram's bands are hidden


class Ear(nn.Module):
    """Waves [B, T] → logits [B, T / hop, labels] of each frame's phone; T is a multiple of the codec's `hop`.

    It always listens through a little noise and without a band of frequencies (SpecAugment,
    https://arxiv.org/abs/1904.08779), also when it is asked about the decoder's sound, so that no single cue is enough.
    """

    def __init__(self, labels: int, hop: int) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("window", torch.hann_window(WINDOW), persistent=False)
        widths = (FFT // 2 + 1, WIDTH)
        self.halve = nn.ModuleList(nn.Conv1d(w, WIDTH, KERNEL, stride=2, padding=KERNEL // 2) for w in widths)
        self.look = nn.ModuleList(nn.Conv1d(WIDTH, WIDTH, KERNEL, dilation=d, padding=2 * d) for d in DILATIONS)
        self.norms = nn.ModuleList(nn.GroupNorm(1, WIDTH) for _ in (*widths, *DILATIONS))
        self.head = nn.Linear(WIDTH, labels)

    def forward(self, waves: Tensor) -> Tensor:
        hidden = masked(self._spectrogram(noisy(waves)))
        halved = len(self.halve)
        for layer, norm in zip(self.halve, self.norms[:halved], strict=True):
            hidden = norm(F.gelu(layer(hidden)))
        for layer, norm in zip(self.look, self.norms[halved:], strict=True):
            hidden = hidden + F.gelu(layer(norm(hidden)))
        return self.head(hidden.transpose(1, 2))

    def _spectrogram(self, waves: Tensor) -> Tensor:
        """Log magnitudes [B, bands, 4 T / hop], without their mean: loudness tells nothing."""
        with torch.autocast(waves.device.type, enabled=False):
            window = self.get_buffer("window")
            spectrum = torch.stft(waves, FFT, self.hop // 4, WINDOW, window=window, return_complex=True)
            log = 0.5 * torch.log(spectrum.real**2 + spectrum.imag**2 + POWER_FLOOR)
        log = log[..., : 4 * (waves.shape[-1] // self.hop)]
        return log - log.mean((1, 2), keepdim=True)


def noisy(waves: Tensor) -> Tensor:
    """Waves [B, T] with white noise, of another loudness in each."""
    level = waves.pow(2).mean(-1, keepdim=True).sqrt()
    ratio = torch.empty(len(waves), 1, device=waves.device).uniform_(LOUD, QUIET)
    return waves + torch.randn_like(waves) * level * 10 ** (-ratio / 20)


def masked(spectrogram: Tensor) -> Tensor:
    """A spectrogram [B, bands, frames] without some neighbouring bands."""
    bands = torch.arange(spectrogram.shape[1], device=spectrogram.device)
    first, count = int(torch.randint(len(bands), ())), int(torch.randint(MASKED, ()))
    return spectrogram * ((bands < first) | (bands >= first + count))[:, None]


class Understanding(nn.Module):
    """The codec's recogniser with a head that names phones, and an ear; both learn phones from the original."""

    def __init__(self, codec: Xcodec2Model, labels: int) -> None:
        super().__init__()
        self.semantic = SemanticLoss(codec.semantic_encoder)
        self.phones = PhoneHead(codec.config.semantic_model_config.hidden_size, labels)
        self.ear = Ear(labels, codec.hop_length)

    def learn(self, draw: Callable[[], tuple[Tensor, ...]], device: str) -> None:
        """Teach both on crops as `draw` gives them (sound first, labels last)."""

        def name_heard() -> Tensor:
            real, *_, labels = draw()
            with torch.no_grad(), autocast(device):
                hidden = self.semantic.hear(real)
            return phone_loss(self.phones(hidden), labels)

        def name_seen() -> Tensor:
            real, *_, labels = draw()
            with autocast(device):
                return phone_loss(self.ear(real), labels)

        teach(self.phones, name_heard, HEAD_STEPS, "codec, phones")
        teach(self.ear, name_seen, EAR_STEPS, "codec, ear")

    def forward(self, made: Tensor, real: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(semantic loss, phone loss, the ear's phone loss) of sound [B, T]."""
        with torch.no_grad():
            wanted = self.semantic.hear(real)
        heard = self.semantic.hear(made)
        semantic = self.semantic.distance(heard, wanted)
        return semantic, phone_loss(self.phones(heard), labels), phone_loss(self.ear(made), labels)


def teach(part: nn.Module, loss: Callable[[], Tensor], steps: int, name: str) -> None:
    """Minimise `loss()` over the parameters of `part`, with a bar called `name`; then they stay."""
    parameters = list(part.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    for _ in tqdm(range(steps), desc=name):
        loss().backward()
        average_gradients(parameters)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
    part.requires_grad_(False)
