"""Sound: read, write, resample, check and cut it. The only user of soundfile and soxr; knows nothing of models."""

import io
import os
import struct
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import soundfile
import soxr
from numpy.typing import NDArray

from stsmt.errors import UserError

MAX_SECONDS = 60.0
MIN_SECONDS = 0.2
FRAME_SECONDS = 0.02  # of the loudness contour
SILENCE_DB = -60.0  # below this the loudest frame is no speech at all
QUIET_DB = -40.0  # below this it is faint
CLIPPED_SHARE = 0.001  # of the samples at full scale: audible distortion
PAUSE_DB = 30.0  # a pause is this much quieter than the loudest frame
PAUSE_SECONDS = 0.25
WAIT_FRAMES, EDGE_FRAMES = 10, 3  # longer silence at an end of a recording is cut to so much
LEAD_FRAMES = 5  # kept before a piece of a long recording
HUSH_DB = 40.0  # silence in an answer is this much quieter than the loudest frame

Source = str | os.PathLike[str] | bytes | BinaryIO


@dataclass(frozen=True, eq=False)
class Audio:
    """Mono sound: `samples` float32 [T], nominally in −1..1, at `sample_rate` samples per second."""

    samples: NDArray[np.float32]
    sample_rate: int

    def __post_init__(self) -> None:
        if self.samples.ndim != 1:
            raise ValueError(f"Audio is mono: samples must have shape [T], not {self.samples.shape}")
        if self.sample_rate <= 0:
            raise ValueError(f"sample_rate must be positive, not {self.sample_rate}")
        object.__setattr__(self, "samples", np.ascontiguousarray(self.samples, dtype=np.float32))

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.sample_rate

    def cut(self, start: float, stop: float) -> "Audio":
        """The part between two times in seconds."""
        first, last = round(start * self.sample_rate), round(stop * self.sample_rate)
        return Audio(self.samples[max(first, 0) : max(last, 0)], self.sample_rate)


def concatenate(parts: list[Audio], sample_rate: int) -> Audio:
    """All parts, which share `sample_rate`, one after the other."""
    return Audio(np.concatenate([np.zeros(0, np.float32), *(part.samples for part in parts)]), sample_rate)


# -- files -----------------------------------------------------------------------------------------------------------


def read_audio(source: Source, max_seconds: float | None = MAX_SECONDS) -> Audio:
    """Read any format libsndfile knows, at any rate; channels are averaged.

    `source` is a path, "-" for standard input, the bytes of a file, or an open binary file.

    Raises:
        UserError: if it is missing, unreadable, no audio, cut off, or longer than `max_seconds` (None: no limit).
    """
    data, name = _read_bytes(source)
    if not data:
        raise UserError(f"{name} is empty; give a recording.")
    _check_not_cut_off(data, name)
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            if max_seconds is not None and file.frames / file.samplerate > max_seconds:
                raise UserError(_too_long(file.frames / file.samplerate, max_seconds))
            samples, rate = file.read(dtype="float32", always_2d=True), file.samplerate
    except (soundfile.SoundFileError, RuntimeError, ValueError):
        raise UserError(f"{name} is not audio that can be read; give a WAV, FLAC, OGG or MP3 file.") from None
    return Audio(samples.mean(axis=1), rate)


def _read_bytes(source: Source) -> tuple[bytes, str]:
    if isinstance(source, bytes):
        return source, "The recording"
    if not isinstance(source, (str, os.PathLike)):
        return source.read(), "The recording"
    if source == "-":
        return sys.stdin.buffer.read(), "Standard input"
    try:
        return Path(source).read_bytes(), str(source)
    except (OSError, ValueError) as error:  # ValueError: a null byte in the path
        raise UserError(f"{source} {_reason(error)}.") from None


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "does not exist; check the path"
    if isinstance(error, IsADirectoryError):
        return "is a directory; give a file"
    if isinstance(error, PermissionError):
        return "may not be opened (no permission); change its permissions or choose another file"
    return f"cannot be opened ({getattr(error, 'strerror', None) or error})"


def _check_not_cut_off(data: bytes, name: str) -> None:
    """libsndfile reads a WAV that ends early without a word; half a sentence must not pass as a whole one."""
    if data[:4] != b"RIFF":
        return
    declared = struct.unpack("<I", data[4:8].ljust(4, b"\0"))[0] + 8
    streamed = declared - 8 in (0, 0x7FFFFFFF) or declared >= 0xFFFFFF00  # written to a pipe: size unknown
    if len(data) < 44 or (declared > len(data) + 1 and not streamed):
        raise UserError(f"{name} is cut off: {len(data)} of {declared} bytes are there; export or upload it again.")


def duration(path: str | os.PathLike[str]) -> float:
    """Seconds of a recording, from its header alone.

    Raises:
        UserError: if it is missing or no audio.
    """
    try:
        return float(soundfile.info(os.fspath(path)).duration)
    except (soundfile.SoundFileError, RuntimeError, OSError):
        raise UserError(f"{path} is missing or not audio that can be read; check the path.") from None


def wav_bytes(audio: Audio) -> bytes:
    """A whole PCM-16 WAV file."""
    file = io.BytesIO()
    soundfile.write(file, np.clip(audio.samples, -1.0, 1.0), audio.sample_rate, format="WAV", subtype="PCM_16")
    return file.getvalue()


def write_wav(path: str | os.PathLike[str], audio: Audio) -> None:
    """Write PCM-16, all or nothing: a temporary neighbour is renamed at the end.

    Raises:
        UserError: if the folder is missing or may not be written.
    """
    target = Path(path).resolve()
    data = wav_bytes(audio)
    with _writing(path):
        if target.exists() and not target.is_file():  # a device or a pipe (renaming would replace it), or a folder
            target.write_bytes(data)
            return
        part = target.with_name(f".{target.name}.{os.getpid()}.part")
        try:
            part.write_bytes(data)
            part.replace(target)
        finally:
            part.unlink(missing_ok=True)


@contextmanager
def _writing(path: str | os.PathLike[str]) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"Cannot write {path}: its folder does not exist; create it first.") from None
    except OSError as error:
        raise UserError(f"Cannot write {path}: it {_reason(error)}.") from None


def check_writable(path: str | os.PathLike[str]) -> None:
    """Find out before long work that `path` cannot be written.

    Raises:
        UserError: as `write_wav` would.
    """
    target = Path(path).resolve()
    with _writing(path):
        if target.is_dir():
            raise IsADirectoryError
        if not target.parent.exists():
            raise FileNotFoundError
        if not os.access(target if target.exists() else target.parent, os.W_OK):
            raise PermissionError


# -- samples ---------------------------------------------------------------------------------------------------------


def resample(audio: Audio, rate: int) -> Audio:
    """The same sound at another rate (soxr, high quality)."""
    if audio.sample_rate == rate:
        return audio
    return Audio(soxr.resample(audio.samples, audio.sample_rate, rate), rate)


def loudness(audio: Audio) -> NDArray[np.float32]:
    """RMS in dBFS of each `FRAME_SECONDS` [ceil(T / frame)], its mean (DC offset) removed."""
    size = max(1, round(FRAME_SECONDS * audio.sample_rate))
    frames = np.pad(audio.samples, (0, -len(audio.samples) % size)).reshape(-1, size)
    rms = frames.std(axis=1) if len(frames) else np.zeros(0, np.float32)
    return 20 * np.log10(np.maximum(rms, 1e-10)).astype(np.float32)


def check_speech(audio: Audio, max_seconds: float = MAX_SECONDS) -> None:
    """Refuse what cannot be speech.

    Raises:
        UserError: if it is empty, too short, too long, silent, or holds samples that are not numbers.
    """
    if not len(audio.samples):
        raise UserError("The recording is empty; record or upload some speech.")
    if not np.isfinite(audio.samples).all():
        raise UserError("The recording holds samples that are not numbers (NaN or infinite); export it again.")
    if audio.seconds < MIN_SECONDS:
        raise UserError(
            f"The recording is too short ({audio.seconds * 1000:.0f} ms); at least {MIN_SECONDS} s are needed."
        )
    if audio.seconds > max_seconds:
        raise UserError(_too_long(audio.seconds, max_seconds))
    if loudness(audio).max() < SILENCE_DB:
        raise UserError("The recording is silent; check the microphone and speak up.")


def _too_long(seconds: float, limit: float) -> str:
    return f"The recording is too long ({seconds:.0f} s); at most {limit:.0f} s are taken, so cut it."


def warnings_of(audio: Audio) -> tuple[str, ...]:
    """What may spoil recognition, one sentence each."""
    found = []
    if np.mean(np.abs(audio.samples) >= 0.999) > CLIPPED_SHARE:
        found.append("The recording is clipped (distorted by too high a level); lower the input level.")
    if loudness(audio).max() < QUIET_DB:
        found.append("The recording is very quiet; move closer to the microphone.")
    if audio.sample_rate < 16000:
        found.append(f"The recording has only {audio.sample_rate} samples per second; 16000 or more work better.")
    return tuple(found)


def silence_share(audio: Audio) -> float:
    """Share of the time that is silent, absolutely or against the loudest frame (0..1; 1 for no sound at all)."""
    levels = loudness(audio)
    if not len(levels):
        return 1.0
    return float(np.mean(levels < max(SILENCE_DB, levels.max() - HUSH_DB)))


def trim_silence(audio: Audio) -> Audio:
    """Silence of more than `WAIT_FRAMES` before or after the sound is cut to `EDGE_FRAMES`."""
    levels = loudness(audio)
    loud = np.flatnonzero(levels >= levels.max(initial=SILENCE_DB) - HUSH_DB)
    if not len(loud):
        return audio
    before, after = int(loud[0]), len(levels) - 1 - int(loud[-1])
    first = before - EDGE_FRAMES if before > WAIT_FRAMES else 0
    last = len(levels) - (after - EDGE_FRAMES if after > WAIT_FRAMES else 0)
    return audio.cut(first * FRAME_SECONDS, last * FRAME_SECONDS)


# -- pauses ----------------------------------------------------------------------------------------------------------


def split_at_pauses(audio: Audio, max_seconds: float) -> list[tuple[float, Audio]]:
    """Cut long sound into pieces of at most `max_seconds`, in the longest pauses that allow it.

    Returns each piece with its start in seconds; silent pieces are left out. Where nobody pauses, the quietest frame
    is cut. Sound that is short enough comes back whole.
    """
    if audio.seconds <= max_seconds:
        return [(0.0, audio)]
    levels = loudness(audio)
    floor = levels.max() - PAUSE_DB
    pieces, start, limit = [], 0, max(1, int(max_seconds / FRAME_SECONDS))
    while start < len(levels):
        loud = np.flatnonzero(levels[start:] >= floor)
        if not len(loud):
            break
        start += max(0, int(loud[0]) - LEAD_FRAMES)
        stop = len(levels) if len(levels) - start <= limit else _cut_point(levels, floor, start, start + limit)
        pieces.append((start * FRAME_SECONDS, audio.cut(start * FRAME_SECONDS, stop * FRAME_SECONDS)))
        start = stop
    return pieces


def _cut_point(levels: NDArray[np.float32], floor: float, start: int, stop: int) -> int:
    """The frame at which to end a piece that starts at `start` and may reach `stop`."""
    first = start + max(1, (stop - start) // 4)
    pauses = [(b - a, (a + b) // 2) for a, b in _runs(levels[first:stop] < floor)]
    if pauses and max(pauses)[0] * FRAME_SECONDS >= PAUSE_SECONDS:
        return first + max(pauses)[1]
    return first + int(np.argmin(levels[first:stop]))


def _runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Start and stop of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]
