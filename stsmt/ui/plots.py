"""Mel spectrograms as HTML figures in the theme's colours. Knows sound and pixels, nothing of models.

The picture is a mask of opacities through which the page's text colour shows, so it reads as ink on paper in light
mode and as chalk in dark mode; the axes are text of the page.
"""

import base64
import html
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stsmt.audio import Audio, resample

SAMPLE_RATE = 16000
WINDOW = 400  # 25 ms
BANDS = 80
COLUMNS = 600  # at most: a figure is about this wide on the screen
DYNAMIC_RANGE_DB = 60.0
TICKS = (500, 1000, 2000, 4000, 8000)


def mel_spectrogram(audio: Audio) -> NDArray[np.float32]:
    """Log-mel power in 0..1 [BANDS, columns]: 1 is the loudest point, 0 is `DYNAMIC_RANGE_DB` below it, or silence."""
    samples = resample(audio, SAMPLE_RATE).samples
    samples = np.pad(samples, (0, max(0, WINDOW - len(samples))))
    hop = max(160, -(-len(samples) // COLUMNS))
    frames = np.lib.stride_tricks.sliding_window_view(samples, WINDOW)[::hop]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32), n=512)) ** 2
    decibels = 10 * np.log10(np.maximum(power @ _filters().T, 1e-10)).T
    if decibels.max() <= -90:
        return np.zeros_like(decibels, np.float32)
    return np.clip(1 + (decibels - decibels.max()) / DYNAMIC_RANGE_DB, 0, 1).astype(np.float32)


def _mel(hertz: float | NDArray[np.float64]) -> NDArray[np.float64]:
    return 2595 * np.log10(1 + np.asarray(hertz, np.float64) / 700)


def _filters() -> NDArray[np.float64]:
    """Triangles [BANDS, bins] with centres evenly spaced on the mel scale, each at least one bin wide."""
    bins = _mel(np.linspace(0, SAMPLE_RATE / 2, 257))
    edges = np.linspace(0, float(_mel(SAMPLE_RATE / 2)), BANDS + 2)
    width = np.maximum(np.diff(edges).max(), np.gradient(bins))  # in the bass, bins are wider than bands
    return np.maximum(0, 1 - np.abs(bins - edges[1:-1, None]) / width)


def picture(audio: Audio) -> Image.Image:
    """The spectrogram as a grey-and-alpha image, high frequencies on top; opacity is loudness."""
    opacity = (255 * mel_spectrogram(audio)[::-1] ** 1.3).astype(np.uint8)
    return Image.merge("LA", (Image.new("L", opacity.shape[::-1], 0), Image.fromarray(opacity)))


def figure(audio: Audio, title: str, alternative: str) -> str:
    """One spectrogram with its axes as an HTML figure."""
    file = io.BytesIO()
    picture(audio).save(file, "PNG")
    url = f"url(data:image/png;base64,{base64.b64encode(file.getvalue()).decode()})"
    return (
        f'<figure class="mel"><figcaption>{html.escape(title)}</figcaption>'
        f'<div class="mel-plot"><div class="mel-hertz" aria-hidden="true">{_frequency_axis()}</div>'
        f'<div class="mel-image" role="img" aria-label="{html.escape(alternative)}" '
        f'style="mask-image:{url};-webkit-mask-image:{url}"></div></div>'
        f'<div class="mel-time" aria-hidden="true">{_time_axis(audio.seconds)}</div></figure>'
    )


def _frequency_axis() -> str:
    top = float(_mel(SAMPLE_RATE / 2))
    heights = [(hertz, 100 * float(_mel(hertz)) / top) for hertz in TICKS]
    labels = [(f"{hertz // 1000}k" if hertz >= 1000 else str(hertz), height) for hertz, height in heights]
    return "".join(f'<span style="bottom:{height:.1f}%">{label}</span>' for label, height in labels)


def _time_axis(seconds: float) -> str:
    return f"<span>0</span><span>{seconds / 2:.1f}</span><span>{seconds:.1f} s</span>"


def figures(parts: list[str]) -> str:
    """Figures side by side; they stack where the page is narrow."""
    return f'<div class="mels">{"".join(parts)}</div>' if parts else ""
