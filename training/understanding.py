"""What is understood of the sound that a codec's decoder makes: the same, it should be, as of the original.

Listeners are asked, and the decoder is told what they should have heard: the codec's own recogniser, which knows long
stretches of speech, and ears that learn from nothing but spectrograms and look a third of a second to either side. What
all hear is in the sound; what pleases one alone may be a quirk of it. Ears are cheap, so there are several that see
different spectrograms, every step asks another one, and each goes on learning from originals: one that never changed
was pleased after half an hour by what others did not hear (so far these have done no better: training/LOG.md).
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm import tqdm
from transformers import Xcodec2Model

from training.losses import SemanticLoss
from training.parallel import average_gradients
from training.phones import PhoneHead, phone_loss
from training.precision import autocast

HEAD_STEPS, EAR_STEPS = 500, 900
RATE, LATER_RATE = 2e-3, 3e-4  # of listeners that begin, and of ears that go on learning beside the decoder
DILATIONS = (1, 2, 4)
POWER_FLOOR = 1e-5
QUIET, LOUD = 40.0, 10.0  # the noise that an ear listens through: signal-to-noise ratio in dB
MASKED = 5  # less than one in so many of a spectrogram's bands are hidden


@dataclass(frozen=True)
class Shape:
    """Of an ear: size of the Fourier transform and of its window in samples, width and kernel of the net."""

    fft: int
    window: int
    width: int
    kernel: int


SHAPES = (Shape(512, 400, 192, 5), Shape(256, 256, 192, 5), Shape(1024, 640, 160, 3), Shape(512, 320, 160, 7))


class Ear(nn.Module):
    """Waves [B, T] → logits [B, T / hop, labels] of each frame's phone; T is a multiple of the codec's `hop`.

    It always listens through a little noise and without a band of frequencies (SpecAugment,
    https://arxiv.org/abs/1904.08779), also when it is asked about the decoder's sound, so that no single cue is enough.
    """

    def __init__(self, labels: int, hop: int, shape: Shape) -> None:
        super().__init__()
        self.hop, self.fft, width, kernel = hop, shape.fft, shape.width, shape.kernel
        self.register_buffer("window", torch.hann_window(shape.window), persistent=False)
        widths, half = (shape.fft // 2 + 1, width), kernel // 2
        self.halve = nn.ModuleList(nn.Conv1d(w, width, kernel, stride=2, padding=half) for w in widths)
        self.look = nn.ModuleList(nn.Conv1d(width, width, kernel, dilation=d, padding=half * d) for d in DILATIONS)
        self.norms = nn.ModuleList(nn.GroupNorm(1, width) for _ in (*widths, *DILATIONS))
        self.head = nn.Linear(width, labels)

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
            spectrum = torch.stft(waves, self.fft, self.hop // 4, len(window), window=window, return_complex=True)
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
    first, count = int(torch.randint(len(bands), ())), int(torch.randint(len(bands) // MASKED, ()))
    return spectrogram * ((bands < first) | (bands >= first + count))[:, None]


class Understanding(nn.Module):
    """The codec's recogniser with a head that names phones, and ears; all learn phones from the original."""

    def __init__(self, codec: Xcodec2Model, labels: int) -> None:
        super().__init__()
        self.semantic = SemanticLoss(codec.semantic_encoder)
        self.phones = PhoneHead(codec.config.semantic_model_config.hidden_size, labels)
        self.ears = nn.ModuleList(Ear(labels, codec.hop_length, shape) for shape in SHAPES)
        self.optimisers = [torch.optim.AdamW(ear.parameters(), lr=LATER_RATE) for ear in self.ears]
        self.turn = 0
        self.register_buffer("taught", torch.tensor(False))

    def learn(self, draw: Callable[[], tuple[Tensor, ...]], device: str) -> None:
        """Teach all of them, unless a checkpoint has, on crops as `draw` gives them (sound first, labels last)."""

        def name_heard() -> Tensor:
            real, *_, labels = draw()
            with torch.no_grad(), autocast(device):
                hidden = self.semantic.hear(real)
            return phone_loss(self.phones(hidden), labels)

        def name_seen() -> Tensor:
            real, *_, labels = draw()
            with autocast(device):
                return torch.stack([phone_loss(ear(real), labels) for ear in self.ears]).sum()

        if not self.get_buffer("taught"):
            teach(self.phones, name_heard, HEAD_STEPS, "codec, phones")
            teach(self.ears, name_seen, EAR_STEPS, "codec, ears")
            self.get_buffer("taught").fill_(True)
        self.phones.requires_grad_(False)
        self.ears.requires_grad_(False)

    def follow(self, real: Tensor, labels: Tensor, device: str) -> None:
        """It is the next ear's turn: it learns a little more from originals [B, T] with labels [B, frames]."""
        self.turn = (self.turn + 1) % len(self.ears)
        ear, optimiser = self.ears[self.turn].requires_grad_(True), self.optimisers[self.turn]
        with autocast(device):
            loss = phone_loss(ear(real), labels)
        loss.backward()
        average_gradients(ear.parameters())
        optimiser.step()
        optimiser.zero_grad()
        ear.requires_grad_(False)

    def forward(self, made: Tensor, real: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """(semantic loss, phone loss, phone loss of the ear whose turn it is) of sound [B, T]."""
        with torch.no_grad():
            wanted = self.semantic.hear(real)
        heard = self.semantic.hear(made)
        semantic = self.semantic.distance(heard, wanted)
        return semantic, phone_loss(self.phones(heard), labels), phone_loss(self.ears[self.turn](made), labels)


def teach(part: nn.Module, loss: Callable[[], Tensor], steps: int, name: str) -> None:
    """Minimise `loss()` over the parameters of `part`, with a bar called `name`."""
    parameters = list(part.parameters())
    optimiser = torch.optim.AdamW(parameters, lr=RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, steps)
    for _ in tqdm(range(steps), desc=name):
        loss().backward()
        average_gradients(parameters)
        optimiser.step()
        optimiser.zero_grad()
        schedule.step()
