"""The open classical voices that speak the phrasebook, and the phones that they speak.

Japanese: pyopenjtalk-plus (Open JTalk, modified BSD; bundled HTS voice "mei", CC BY 3.0). English: flite's CMU voices
(BSD-like). espeak-ng (GPL-3.0 program; its output is not covered) adds source-side variety. A voice is an engine voice
with a pitch shift and a *warp*: resampling that moves pitch and formants together, with the tempo put back by the
synthesiser, so that one bundled voice becomes several speakers.
"""

import re
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import numpy as np
import soundfile
import soxr

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.example import Language

SAMPLE_RATE = 16_000
LOUDNESS_RMS = 0.08  # about -22 dBFS: all voices equally loud, with room for peaks
EDGE_SECONDS = 0.06  # silence kept at both ends of a synthesised sentence
Role = Literal["target", "source", "unseen"]
# What `phones` gives, Open JTalk's and flite's sets. The order is that of the cues in a checkpoint.
PHONES: dict[Language, str] = {
    "ja": "a i u e o A I U E O N cl k ky kw g gy gw s sh z j t ty ts ch d dy n ny h hy f b by p py m my y r ry w v",
    "en": "aa ae ah ao aw ax ay eh er ey ih iy ow oy uh uw b ch d dh f g hh jh k l m n ng p r s sh t th v w y z zh",
}


@dataclass(frozen=True)
class Voice:
    """One speaker. `half_tone`: semitones (Open JTalk only); `warp`: pitch-and-formant factor; `tempo`: 1 = natural.

    `role`: target voices are spoken by the model, source voices are only listened to in training, unseen voices only in
    evaluation.
    """

    name: str
    language: Language
    engine: Literal["openjtalk", "flite", "espeak"]
    engine_voice: str
    half_tone: float = 0.0
    warp: float = 1.0
    tempo: float = 1.0
    role: Role = "target"


VOICES: dict[str, Voice] = {
    voice.name: voice
    for voice in (
        Voice("mei", "ja", "openjtalk", "mei", tempo=1.1),
        Voice("mei-low", "ja", "openjtalk", "mei", half_tone=-5.0, warp=0.86, tempo=1.1),
        Voice("mei-high", "ja", "openjtalk", "mei", half_tone=2.0, warp=1.10, tempo=1.1),
        Voice("slt", "en", "flite", "slt"),
        Voice("rms", "en", "flite", "rms"),
        Voice("awb", "en", "flite", "awb"),
        Voice("espeak-ja", "ja", "espeak", "ja", role="source"),
        Voice("espeak-en", "en", "espeak", "en-us", role="source"),
        Voice("espeak-ja-f", "ja", "espeak", "ja+f3", role="source"),
        Voice("espeak-en-f", "en", "espeak", "en-us+f3", role="source"),
        Voice("mei-deep", "ja", "openjtalk", "mei", half_tone=-7.5, warp=0.80, tempo=1.0, role="source"),
        Voice("mei-child", "ja", "openjtalk", "mei", half_tone=6.5, warp=1.17, tempo=1.0, role="source"),
        Voice("awb-light", "en", "flite", "awb", warp=1.13, role="source"),
        Voice("kal", "en", "flite", "kal16", tempo=1.1, role="source"),
        Voice("kal-deep", "en", "flite", "kal16", warp=0.88, role="source"),
        Voice("mei-mid", "ja", "openjtalk", "mei", half_tone=-2.0, warp=0.94, tempo=1.08, role="unseen"),
        Voice("mei-young", "ja", "openjtalk", "mei", half_tone=4.0, warp=1.04, tempo=0.95, role="unseen"),
        Voice("slt-deep", "en", "flite", "slt", warp=0.90, role="unseen"),
        Voice("rms-light", "en", "flite", "rms", warp=1.10, role="unseen"),
    )
}


def voices(language: Language, role: Role) -> list[Voice]:
    """All voices of a language with a role, in a fixed order."""
    return [v for v in VOICES.values() if v.language == language and v.role == role]


def voice_names(language: Language, role: Role) -> list[str]:
    """Names of `voices`."""
    return [voice.name for voice in voices(language, role)]


def speak(text: str, language: Language, voice: str) -> Audio:
    """One sentence as mono audio of 16 kHz, loudness normalised, silence trimmed to a short edge."""
    chosen = VOICES[voice]
    if chosen.language != language:
        raise UserError(f"The voice {voice} speaks {chosen.language}, not {language}.")
    samples, rate = {"openjtalk": _openjtalk, "flite": _flite, "espeak": _espeak}[chosen.engine](text, chosen)
    # Playing at rate × warp moves pitch and formants; the synthesiser was asked for the opposite tempo.
    samples = soxr.resample(samples, rate * chosen.warp, SAMPLE_RATE)
    return Audio(normalise_loudness(trim_silence(samples.astype(np.float32))), SAMPLE_RATE)


def _openjtalk(text: str, voice: Voice) -> tuple[np.ndarray, int]:
    import pyopenjtalk

    shift = voice.half_tone - 12 * np.log2(voice.warp)
    samples, rate = pyopenjtalk.tts(text, speed=voice.tempo / voice.warp, half_tone=shift)
    return samples / 32768.0, rate


def _flite(text: str, voice: Voice) -> tuple[np.ndarray, int]:
    stretch = voice.warp / voice.tempo
    options = ["-voice", voice.engine_voice, "--setf", f"duration_stretch={stretch:.4f}"]
    return _run([_program("flite"), *options, "-t", text, "-o"])


def _espeak(text: str, voice: Voice) -> tuple[np.ndarray, int]:
    spoken = text if voice.language == "en" else katakana(text)
    return _run([_program("espeak-ng"), "-v", voice.engine_voice, "-s", str(round(165 * voice.tempo)), spoken, "-w"])


def _run(command: list[str]) -> tuple[np.ndarray, int]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run([*command, str(path)], check=True, capture_output=True)
        return soundfile.read(path, dtype="float64")


@cache
def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise UserError(f"The program {name} is not installed; on Debian: apt-get install flite espeak-ng.")
    return found


def trim_silence(samples: np.ndarray, floor: float = 0.01) -> np.ndarray:
    """Cut both ends to `EDGE_SECONDS` before the first and after the last sample above `floor` × peak."""
    loud = np.flatnonzero(np.abs(samples) > floor * (np.abs(samples).max() + 1e-9))
    if not len(loud):
        return samples
    edge = int(EDGE_SECONDS * SAMPLE_RATE)
    padded = np.pad(samples, edge)
    return padded[loud[0] : loud[-1] + 2 * edge]


def normalise_loudness(samples: np.ndarray) -> np.ndarray:
    """Scale to `LOUDNESS_RMS` over the active samples, peaks kept below full scale."""
    active = samples[np.abs(samples) > 0.02 * (np.abs(samples).max() + 1e-9)]
    gain = LOUDNESS_RMS / (np.sqrt(np.mean(active**2)) + 1e-9) if len(active) else 1.0
    return (samples * min(gain, 0.95 / (np.abs(samples).max() + 1e-9))).astype(np.float32)


# -- what is being said, as labels -----------------------------------------------------------------------------------


def katakana(text: str) -> str:
    """The reading of a Japanese sentence in katakana, punctuation removed."""
    import pyopenjtalk

    return re.sub(r"[^ァ-ヴー]", "", str(pyopenjtalk.g2p(text, kana=True)))


def letters(text: str) -> str:
    """An English sentence as lower-case letters, apostrophes and single spaces."""
    return " ".join(re.sub(r"[^a-z' ]", " ", text.lower().replace("’", "'")).split())


def phones(text: str, language: Language) -> list[str]:
    """The phones that a voice speaks: Open JTalk's for Japanese, flite's (lower-case ARPAbet) for English."""
    if language == "ja":
        import pyopenjtalk

        return [p for p in str(pyopenjtalk.g2p(text)).split() if p not in ("pau", "sil")]
    command = [_program("flite"), "-voice", "kal16", "-ps", "-t", text, "-o", "none"]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return [p for p in listed.split() if p != "pau"]
