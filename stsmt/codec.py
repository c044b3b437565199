"""The codec: sound → codes → sound. X-Codec2 as transformers has it, at any size, without torchaudio.

Facts of X-Codec2 (https://arxiv.org/abs/2502.04128): one finite-scalar codebook, 16 kHz in, 50 codes a second. It sees
the waveform (acoustic encoder) and Kaldi log-mel features (semantic encoder). Decoding attends over all codes at
once, so a window of codes decodes to nearly, not exactly, what the whole gives: `decode_stream`.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from stsmt.audio import Audio, resample
from stsmt.checkpoint import load_weights, locate, read_config
from stsmt.errors import UserError

HOP = 320  # samples per code
FEATURE_RATE = 16000  # of the semantic features, whose frames follow in samples
FRAME, SHIFT, FFT, PREEMPHASIS = 400, 160, 512, 0.97


class Codec(Protocol):
    """Sound to codes and back; `frame_rate` is codes per second."""

    @property
    def sample_rate(self) -> int: ...
    @property
    def frame_rate(self) -> float: ...
    @property
    def codebook_size(self) -> int: ...
    def encode(self, audio: Audio) -> tuple[int, ...]: ...
    def decode(self, codes: Sequence[int]) -> Audio: ...


@lru_cache(maxsize=1)
def _mel() -> Any:
    """transformers' numpy version of Kaldi's filter bank, as W2V-BERT was trained with."""
    from transformers import SeamlessM4TFeatureExtractor

    return SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1.0)


def features(samples: NDArray[np.float32], hop: int = HOP) -> dict[str, NDArray[np.float32]]:
    """What the encoder reads: `input_values` [1, 1, T] and `input_features` [1, T / hop, 160], float32.

    As `Xcodec2FeatureExtractor` does: one zero sample is appended, then zeros up to a multiple of `hop`; the features
    are taken from that with half a hop of zeros on both sides, mean and variance normalised per mel bin.
    `samples` [N] are at 16 kHz.
    """
    padded = np.pad(np.asarray(samples, np.float32), (0, hop - len(samples) % hop))
    log_mel = _log_mel(np.pad(padded, hop // 2))
    log_mel = (log_mel - log_mel.mean(0)) / np.sqrt(log_mel.var(0, ddof=1) + 1e-7)
    paired = log_mel[: len(log_mel) // 2 * 2].reshape(1, -1, 2 * log_mel.shape[1])
    return {"input_values": padded[None, None], "input_features": paired.astype(np.float32)}


def _log_mel(samples: NDArray[np.float32]) -> NDArray[np.float64]:
    """`SeamlessM4TFeatureExtractor` [frames, 80] with its window and filters, but all frames at once: whole corpora
    go through here, and its loop over frames takes ten times as long."""
    mel = _mel()
    frames = np.lib.stride_tricks.sliding_window_view(samples.astype(np.float64) * 2**15, FRAME)[::SHIFT]
    frames = frames - frames.mean(axis=1, keepdims=True)
    frames[:, 1:] -= PREEMPHASIS * frames[:, :-1]  # the right side is computed first, as a copy
    frames[:, 0] *= 1 - PREEMPHASIS
    power = np.abs(np.fft.rfft(frames * mel.window, FFT)) ** 2
    return np.log(np.maximum(power @ mel.mel_filters, np.finfo(np.float32).eps))


def code_count(sample_count: int, hop: int = HOP) -> int:
    """How many of the codes of `sample_count` samples are sound; the rest is padding."""
    return max(1, (sample_count + 1) // hop)


class XCodec2:
    """A transformers `Xcodec2Model` behind the `Codec` protocol; one clip at a time, as its attention needs."""

    def __init__(self, model: Any) -> None:
        self._model = model.eval()
        self.sample_rate: int = model.config.sampling_rate
        self.hop: int = model.config.hop_length
        self.frame_rate: float = self.sample_rate / self.hop
        self.codebook_size: int = int(np.prod(model.config.quantization_levels))

    def encode(self, audio: Audio) -> tuple[int, ...]:
        """Codes [(T + 1) // hop, at least 1] of sound at any rate; T samples at the codec's rate."""
        import torch

        samples = resample(audio, self.sample_rate).samples
        with torch.inference_mode():
            inputs = {k: torch.from_numpy(v).to(self._model.device) for k, v in features(samples, self.hop).items()}
            codes = self._model.encode(**inputs).audio_codes[0, 0]
        return tuple(codes[: code_count(len(samples), self.hop)].tolist())

    def decode(self, codes: Sequence[int]) -> Audio:
        """Sound [len(codes) · hop] of all codes at once."""
        import torch

        if not codes:
            return Audio(np.zeros(0, np.float32), self.sample_rate)
        with torch.inference_mode():
            ids = torch.tensor(codes, device=self._model.device)[None, None]
            samples = self._model.decode(audio_codes=ids).audio_values[0, 0].float().cpu().numpy()
        return Audio(samples, self.sample_rate)


def load_codec(reference: str | Path, device: str = "cpu") -> Codec:
    """The codec in a folder or at `owner/name@revision` on the Hub.

    Raises:
        UserError: if it is missing, half-written, or no X-Codec2.
    """
    folder = locate(reference)
    read_config(folder, "xcodec2", "codec")
    import torch
    from transformers import Xcodec2Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    # Weights are shipped in bfloat16, but features and the inverse STFT are float32.
    codec = XCodec2(load_weights(Xcodec2Model, folder, "codec", dtype=torch.float32).to(device))
    if codec.sample_rate != FEATURE_RATE:
        raise UserError(f"The codec in {folder} is made for {codec.sample_rate} Hz; {FEATURE_RATE} Hz is needed.")
    return codec


# -- streaming -------------------------------------------------------------------------------------------------------


def decode_stream(
    codec: Codec, codes: Iterable[int], *, first: int = 25, step: int = 50, context: int = 25, fade: int = 2
) -> Iterator[Audio]:
    """Decode codes while they arrive, in windows that overlap.

    Each chunk is decoded with up to `context` codes of the past and of the future around it, and cross-faded linearly
    over `fade` codes into the next one. The first chunk has `first` codes so that sound starts early, the others
    `step`. Chunks joined have exactly the length of the whole decode.
    """
    seen: list[int] = []
    done, tail, size = 0, np.zeros(0, np.float32), first
    for code in codes:
        seen.append(code)
        if len(seen) >= done + size + context:
            chunk, tail = _window(codec, seen, done, done + size, context, fade, tail)
            yield chunk
            done, size = done + size, step
    if len(seen) > done:
        yield _window(codec, seen, done, len(seen), context, 0, tail)[0]


def _window(
    codec: Codec, seen: list[int], start: int, stop: int, context: int, fade: int, tail: NDArray[np.float32]
) -> tuple[Audio, NDArray[np.float32]]:
    """The chunk of codes [start, stop) blended with the last one's `tail`, and its own tail of `fade` codes."""
    first = max(0, start - context)
    audio = codec.decode(seen[first : stop + context])
    hop = round(codec.sample_rate / codec.frame_rate)
    samples = audio.samples[(start - first) * hop : (stop + fade - first) * hop].copy()
    overlap = min(len(tail), len(samples))
    rise = np.linspace(0, 1, overlap, dtype=np.float32)
    samples[:overlap] = tail[:overlap] * (1 - rise) + samples[:overlap] * rise
    length = (stop - start) * hop
    return Audio(samples[:length], codec.sample_rate), samples[length:]
