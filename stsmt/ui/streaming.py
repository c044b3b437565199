"""What a stream of an answer needs around it: the ffmpeg program, and a short memory of answers already given."""

import hashlib
import importlib
import os
import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Hashable, Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stsmt.audio import Audio
from stsmt.requests import AudioPart, Request, Result, TextPart
from stsmt.translator import Translator

Part = TextPart | AudioPart | Result


def provide_ffmpeg() -> bool:
    """Whether Gradio can stream sound, which it encodes with a program called `ffmpeg`.

    The one that the package imageio-ffmpeg brings has another name: it is linked into a folder put on the PATH.
    """
    if shutil.which("ffmpeg"):
        return True
    try:
        program = importlib.import_module("imageio_ffmpeg").get_ffmpeg_exe()
    except (ImportError, RuntimeError):
        return False
    folder = Path(tempfile.mkdtemp(prefix="stsmt-ffmpeg-"))
    target = folder / ("ffmpeg" + Path(program).suffix * (os.name == "nt"))
    try:
        target.symlink_to(program)
    except OSError:  # Windows without the right to make links
        shutil.copy2(program, target)
    os.environ["PATH"] = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    return shutil.which("ffmpeg") is not None


def pcm(audio: Audio) -> tuple[int, NDArray[np.int16]]:
    """What Gradio's players take: rate and int16 samples [T] (it would normalise each chunk of floats by its peak).

    Sound that came from 16 bits goes back unchanged.
    """
    return audio.sample_rate, np.clip(np.round(audio.samples * 32768), -32768, 32767).astype(np.int16)


class Memory:
    """Answers by request, so that the same input and seed cost nothing twice.

    Held in this process only, at most `size` of them and for at most `seconds`; the input itself is kept as a hash.
    """

    def __init__(self, translator: Translator, size: int = 32, seconds: float = 1800.0) -> None:
        self._translator, self._size, self._seconds = translator, size, seconds
        self._answers: OrderedDict[Hashable, tuple[float, list[Part]]] = OrderedDict()
        self._lock = threading.Lock()

    def stream(self, request: Request) -> Iterator[Part]:
        """The parts of an answer, remembered or new; only answers that were heard to their end are remembered."""
        key = _key(request)
        remembered = self._recall(key)
        if remembered is not None:
            yield from remembered
            return
        parts: list[Part] = []
        for part in self._translator.stream(request):
            parts.append(part)
            yield part
        self._remember(key, parts)

    def knows(self, request: Request) -> bool:
        """Whether the answer is remembered."""
        return self._recall(_key(request)) is not None

    def run(self, request: Request) -> Result:
        """The whole answer."""
        *_, result = self.stream(request)
        assert isinstance(result, Result)
        return result

    def _recall(self, key: Hashable) -> list[Part] | None:
        with self._lock:
            for old in [k for k, (at, _) in self._answers.items() if time.monotonic() - at > self._seconds]:
                del self._answers[old]
            if key not in self._answers:
                return None
            self._answers.move_to_end(key)
            return self._answers[key][1]

    def _remember(self, key: Hashable, parts: list[Part]) -> None:
        with self._lock:
            self._answers[key] = (time.monotonic(), parts)
            while len(self._answers) > self._size:
                self._answers.popitem(last=False)


def _key(request: Request) -> Hashable:
    audio = request.audio
    sound = None if audio is None else (audio.sample_rate, hashlib.sha256(audio.samples.tobytes()).hexdigest())
    languages = (request.source_language, request.target_language)
    return (request.task, sound, request.text, languages, request.mode, request.voice, request.seed)
