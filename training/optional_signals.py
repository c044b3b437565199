"""Signals of models that not everybody has: Whisper, a speaker verifier, DNSMOS (`pip install -e ".[quality]"`).

Each is asked for by an option of `training.signals`. Where DNSMOS is asked for and not installed, its columns are NULL
and their version says why.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, TypeVar

import jiwer
import numpy as np
import torch
from transformers import (
    AutoFeatureExtractor,
    WavLMForXVector,
    WhisperForConditionalGeneration,
    WhisperProcessor,
)

from stsmt.audio import Audio, resample
from stsmt.corpus.pairs import SIDES, Utterance
from stsmt.errors import UserError
from stsmt.text import normalise_for_scoring

RATE = 16000  # of all of these models
T = TypeVar("T")
NEEDED_BY_MOS = ("speechmos", "onnxruntime", "librosa")  # the first does not declare the others
SHORTEST = 0.1  # seconds; less is no speech to any of them
Signals = dict[str, float | None]
OfSide = Callable[[Utterance, Audio], Signals]
OfPair = Callable[[Audio, Audio], Signals]


class WhisperErrors:
    """CER in percent of what Whisper hears against the text, in both languages."""

    def __init__(self, name: str, device: str) -> None:
        self._processor = WhisperProcessor.from_pretrained(name)
        self._model = WhisperForConditionalGeneration.from_pretrained(name).eval().to(device)

    @torch.inference_mode()
    def __call__(self, said: Utterance, audio: Audio) -> Signals:
        wanted = normalise_for_scoring(said.text, said.language).replace(" ", "")
        if not wanted:
            return {"whisper_error_rate": None}
        samples = resample(audio, RATE).samples
        features = self._processor(samples, sampling_rate=RATE, return_tensors="pt").input_features
        ids = self._model.generate(features.to(self._model.device), **self._asked(said.language))
        heard = self._processor.batch_decode(ids, skip_special_tokens=True)[0]
        heard = normalise_for_scoring(heard, said.language).replace(" ", "")
        return {"whisper_error_rate": 100 * float(jiwer.process_characters(wanted, heard).cer)}

    def _asked(self, language: str) -> dict[str, Any]:
        """One that knows one language only takes no language."""
        known = getattr(self._model.generation_config, "lang_to_id", None)
        return {"language": language, "task": "transcribe"} if known else {}


class SpeakerSimilarity:
    """Cosine (−1..1) of the two sides' speaker vectors."""

    def __init__(self, name: str, device: str) -> None:
        self._features = AutoFeatureExtractor.from_pretrained(name)
        self._model = WavLMForXVector.from_pretrained(name).eval().to(device)

    def __call__(self, source: Audio, target: Audio) -> Signals:
        first, second = (self._vector(audio) for audio in (source, target))
        return {"speaker_similarity": float(torch.cosine_similarity(first, second, dim=0))}

    @torch.inference_mode()
    def _vector(self, audio: Audio) -> torch.Tensor:
        samples = resample(audio, RATE).samples
        values = self._features(samples, sampling_rate=RATE, return_tensors="pt").input_values
        vector: torch.Tensor = self._model(values.to(self._model.device)).embeddings[0]
        return vector


def _mos(said: Utterance, audio: Audio) -> Signals:
    """DNSMOS by the package `speechmos`."""
    from speechmos import dnsmos

    found = dnsmos.run(np.clip(resample(audio, RATE).samples, -1, 1), RATE)
    return {"mos_p808": float(found["p808_mos"]), "mos_p835": float(found["ovrl_mos"])}


@dataclass
class OptionalSignals:
    """The optional measures that are asked for, and name → version of their signals."""

    of_side: list[OfSide] = field(default_factory=list)
    of_pair: list[OfPair] = field(default_factory=list)
    versions: dict[str, str] = field(default_factory=dict)

    def side(self, said: Utterance, audio: Audio) -> Signals:
        if audio.seconds < SHORTEST:
            return {}
        return {name: value for measure in self.of_side for name, value in measure(said, audio).items()}

    def pair(self, source: Audio, target: Audio) -> Signals:
        if min(source.seconds, target.seconds) < SHORTEST:
            return {}
        return {name: value for measure in self.of_pair for name, value in measure(source, target).items()}


def load_optional(
    whisper: str | None = None, speaker: str | None = None, mos: bool = False, device: str = "cpu"
) -> OptionalSignals:
    """Load what is asked for: models by a folder or a name on the Hub, DNSMOS if its package is installed.

    Raises:
        UserError: if a model is neither a folder nor reachable on the Hub.
    """
    found = OptionalSignals()
    if whisper:
        found.of_side.append(_load(WhisperErrors, whisper, device))
        found.versions |= {f"{side}_whisper_error_rate": f"1, {whisper}" for side in SIDES}
    if speaker:
        found.of_pair.append(_load(SpeakerSimilarity, speaker, device))
        found.versions["speaker_similarity"] = f"1, {speaker}"
    if mos:
        missing = [package for package in NEEDED_BY_MOS if _installed(package) is None]
        if not missing:
            found.of_side.append(_mos)
        made = f"not measured: {missing[0]} is not installed" if missing else f"1, speechmos {_installed('speechmos')}"
        found.versions |= {f"{side}_{name}": made for side in SIDES for name in ("mos_p808", "mos_p835")}
    return found


def _load(model: Callable[[str, str], T], name: str, device: str) -> T:
    try:
        return model(name, device)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"The model {name} can neither be opened here nor fetched from the Hub ({reason}).") from None


def _installed(package: str) -> str | None:
    """Its version, None if it is not there."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None
