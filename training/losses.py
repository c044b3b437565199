"""Spectral and semantic losses and the discriminators of the codec's decoder stage.

Multi-scale mel and STFT magnitudes as in DAC and Vocos; discriminators on complex spectrograms as in EnCodec
(https://arxiv.org/abs/2210.13438), with hinge losses and feature matching.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import SeamlessM4TFeatureExtractor
from transformers.audio_utils import mel_filter_bank

from stsmt.codec import FFT, FRAME, HOP, PREEMPHASIS, SHIFT

SCALES = ((2048, 80), (1024, 80), (512, 40), (256, 20))  # window in samples, mel bands; hop = window / 4
FLOOR = 1e-5


class SpectralLoss(nn.Module):
    """Mean absolute difference of log-mel and log-STFT magnitudes over `SCALES`, for waves [B, T]."""

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        for size, bands in SCALES:
            bank = mel_filter_bank(size // 2 + 1, bands, 20.0, sample_rate / 2, sample_rate, norm="slaney")
            self.register_buffer(f"mel{size}", torch.tensor(bank, dtype=torch.float32), persistent=False)
            self.register_buffer(f"window{size}", torch.hann_window(size), persistent=False)

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        total = made.new_zeros(())
        for size, _ in SCALES:
            a, b = (self._magnitude(wave, size) for wave in (made, real))
            linear = (torch.log(a + 1e-3) - torch.log(b + 1e-3)).abs().mean()
            total = total + self._mel_difference(a, b, size) + 0.5 * linear
        return total

    def mel_distance(self, made: Tensor, real: Tensor) -> Tensor:
        """The mel part alone, averaged over `SCALES` (in natural logarithms of magnitudes)."""
        pairs = ((self._magnitude(made, size), self._magnitude(real, size), size) for size, _ in SCALES)
        return torch.stack([self._mel_difference(*pair) for pair in pairs]).mean()

    def _mel_difference(self, a: Tensor, b: Tensor, size: int) -> Tensor:
        bank = self.get_buffer(f"mel{size}")
        return (torch.log(a @ bank + FLOOR) - torch.log(b @ bank + FLOOR)).abs().mean()

    def _magnitude(self, wave: Tensor, size: int) -> Tensor:
        window = getattr(self, f"window{size}")
        spectrum = torch.stft(wave, size, size // 4, window=window, return_complex=True)
        return (spectrum.real**2 + spectrum.imag**2 + 1e-9).sqrt().transpose(1, 2)


class SemanticLoss(nn.Module):
    """How differently the codec's own recogniser hears two waves [B, T]: what was said must stay what was said.

    Mean absolute difference of its last hidden states, relative to their size, as the semantic reconstruction loss of
    X-Codec (https://arxiv.org/abs/2408.17175). `features` are those of `stsmt.codec`, with gradients.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder
        kaldi = SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80)
        self.register_buffer("bank", torch.tensor(kaldi.mel_filters, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.tensor(kaldi.window, dtype=torch.float32), persistent=False)

    def features(self, waves: Tensor) -> Tensor:
        """[B, T / hop, 160]; T is a multiple of the hop."""
        with torch.autocast(waves.device.type, enabled=False):  # powers of 1e12 want float32
            return self._features(waves)

    def _features(self, waves: Tensor) -> Tensor:
        frames = F.pad(waves, (HOP // 2, HOP // 2)).unfold(1, FRAME, SHIFT) * 2.0**15
        frames = frames - frames.mean(-1, keepdim=True)
        before = F.pad(frames, (1, 0), mode="replicate")[..., :-1]
        spectrum = torch.fft.rfft((frames - PREEMPHASIS * before) * self.get_buffer("window"), FFT)
        power = spectrum.real**2 + spectrum.imag**2
        log_mel = torch.log((power @ self.get_buffer("bank")).clamp(min=torch.finfo(torch.float32).eps))
        log_mel = (log_mel - log_mel.mean(1, keepdim=True)) / (log_mel.var(1, keepdim=True) + 1e-7).sqrt()
        return log_mel[:, : log_mel.shape[1] // 2 * 2].unflatten(1, (-1, 2)).flatten(2)

    def hear(self, waves: Tensor) -> Tensor:
        """The recogniser's last hidden states [B, F, width] for waves [B, T]."""
        return self.encoder(self.features(waves)).last_hidden_state.float()

    @staticmethod
    def distance(heard: Tensor, wanted: Tensor) -> Tensor:
        """How different hidden states are."""
        return (heard - wanted).abs().mean() / wanted.abs().mean()

    def forward(self, made: Tensor, real: Tensor) -> Tensor:
        with torch.no_grad():
            wanted = self.hear(real)
        return self.distance(self.hear(made), wanted)


class SpectrogramDiscriminator(nn.Module):
    """Scores patches of a complex spectrogram; returns (scores, features) for waves [B, T]."""

    def __init__(self, size: int, channels: int) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        norm = nn.utils.parametrizations.weight_norm
        widths = [2, channels, channels, channels, channels]
        self.layers = nn.ModuleList(
            norm(nn.Conv2d(a, b, (3, 9), stride=(1, 2), padding=(1, 4)))
            for a, b in zip(widths[:-1], widths[1:], strict=True)
        )
        self.head = norm(nn.Conv2d(channels, 1, 3, padding=1))

    def forward(self, wave: Tensor) -> tuple[Tensor, list[Tensor]]:
        window = self.get_buffer("window")
        spectrum = torch.stft(wave, self.size, self.size // 4, window=window, return_complex=True, normalized=True)
        hidden = torch.stack((spectrum.real, spectrum.imag), 1).transpose(2, 3)
        features = []
        for layer in self.layers:
            hidden = F.leaky_relu(layer(hidden), 0.2)
            features.append(hidden)
        return self.head(hidden), features


class Discriminators(nn.ModuleList):
    """Three resolutions of `SpectrogramDiscriminator`."""

    def __init__(self, channels: int = 16) -> None:
        super().__init__(SpectrogramDiscriminator(size, channels) for size in (2048, 1024, 512))

    def critic_loss(self, made: Tensor, real: Tensor) -> Tensor:
        """Hinge loss of the discriminators; `made` is detached."""
        total = made.new_zeros(())
        for judge in self:
            total = total + F.relu(1 - judge(real)[0]).mean() + F.relu(1 + judge(made.detach())[0]).mean()
        return total / len(self)

    def generator_loss(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """(adversarial hinge, feature matching) losses of the decoder."""
        adversarial = matching = made.new_zeros(())
        for judge in self:
            score, features = judge(made)
            with torch.no_grad():
                _, wanted = judge(real)
            adversarial = adversarial - score.mean()
            for a, b in zip(features, wanted, strict=True):
                matching = matching + (a - b).abs().mean() / (b.abs().mean() + 1e-3)
        return adversarial / len(self), matching / (4 * len(self))
