"""What is asked of a translator and what it gives: `Request`, the parts of its answer, `Result`; and the checks."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from stsmt.audio import Audio, check_speech
from stsmt.errors import UserError
from stsmt.example import LANGUAGES, Field, Language, Mode, Task, other_language
from stsmt.health import Health
from stsmt.prompt import PromptFormat
from stsmt.text import LANGUAGE_NAMES, check_text, guess_language, speakable

MAX_SEED = 2**32 - 1


@dataclass(frozen=True)
class Request:
    """STS and STT take `audio`, TTS and MT take `text`.

    What is None is chosen: the source language is identified, the target is the other one, mode and voice are the
    checkpoint's defaults. Sampling follows `seed` (0 … 2³² − 1).
    """

    task: Task
    audio: Audio | None = None
    text: str | None = None
    source_language: Language | None = None
    target_language: Language | None = None
    mode: Mode | None = None
    voice: str | None = None
    seed: int = 0


@dataclass(frozen=True)
class TextPart:
    """Text of one field as far as it is written; each part replaces the last one of its field."""

    field: Field
    text_so_far: str


@dataclass(frozen=True)
class AudioPart:
    """The next piece of sound. A higher `attempt` than before starts the sentence again after a loop."""

    audio: Audio
    attempt: int = 0


@dataclass(frozen=True)
class Timing:
    """Seconds; `first_audio` since the start; `real_time_factor` is `total` per second of sound (made, else given)."""

    encode: float
    first_audio: float | None
    generate: float
    decode: float
    total: float
    real_time_factor: float | None


@dataclass(frozen=True)
class Model:
    """Which checkpoint answered."""

    name: str
    revision: str


@dataclass(frozen=True)
class Result:
    """A whole answer.

    `text` is what was asked for: the translation, the transcript, or the text spoken. `audio` is one decode of all
    `codes` (of each piece, for long input). `confidence` is the probability of the transcript, of long input that
    of its least probable piece; without one it is that of the translation or (direct) of the phones that were heard,
    and None where nothing was written. `unsure` names reasons for doubt: "low_confidence", "loop",
    "cap", "silence".
    """

    task: Task
    source_language: Language
    target_language: Language
    mode: Mode | None
    transcript: str | None
    translation: str | None
    text: str
    audio: Audio | None
    codes: tuple[int, ...]
    health: Health
    timing: Timing
    model: Model
    seed: int
    confidence: float | None
    warnings: tuple[str, ...]
    unsure: tuple[str, ...]

    def to_json(self, audio_path: str | None = None) -> dict[str, Any]:
        """Everything but samples and codes, ready for `json.dumps`; `audio_path` is where the sound was written."""
        fields = {name: getattr(self, name) for name in ("task", "source_language", "target_language", "mode")}
        texts = {name: getattr(self, name) for name in ("transcript", "translation", "text")}
        audio = self.audio and {
            "path": audio_path,
            "seconds": round(self.audio.seconds, 3),
            "sample_rate": self.audio.sample_rate,
        }
        return {
            **{name: None if value is None else str(value) for name, value in fields.items()},
            **texts,
            "audio": audio,
            "health": _rounded(asdict(self.health)),
            "timing": _rounded(asdict(self.timing)),
            "model": asdict(self.model),
            "seed": self.seed,
            "confidence": None if self.confidence is None else round(self.confidence, 4),
            "warnings": list(self.warnings),
            "unsure": list(self.unsure),
        }


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


# -- checks ----------------------------------------------------------------------------------------------------------


def check_request(request: Request, prompt: PromptFormat) -> Request:
    """The request with its defaults filled in as far as they follow without a model.

    Raises:
        UserError: for anything that cannot be answered.
    """
    request = _check_choices(request, prompt)
    if request.task in (Task.STS, Task.STT):
        if request.audio is None:
            raise UserError("There is no recording; record or upload some speech.")
        check_speech(request.audio)
        return request if request.task is Task.STT else _with_direction(request, prompt)
    return _with_text(request, prompt)


def _check_choices(request: Request, prompt: PromptFormat) -> Request:
    task = _one_of("task", request.task, [str(task) for task in Task])
    mode = _one_of("mode", request.mode or prompt.default_mode, [str(mode) for mode in Mode])
    for language in (request.source_language, request.target_language):
        if language is not None:
            _one_of("language", language, LANGUAGES)
    if request.voice is not None:
        _one_of("voice", request.voice, list(prompt.voices))
    if isinstance(request.seed, bool) or not isinstance(request.seed, int) or not 0 <= request.seed <= MAX_SEED:
        raise UserError(f"The seed must be a whole number between 0 and {MAX_SEED}, not {request.seed!r}.")
    return replace(request, task=Task(task), mode=Mode(mode))


def _one_of(what: str, value: str, choices: list[str] | tuple[str, ...]) -> str:
    if value not in choices:
        raise UserError(f"Unknown {what} {value!r}; choose one of: {', '.join(choices)}.")
    return value


def _with_direction(request: Request, prompt: PromptFormat) -> Request:
    source, target = request.source_language, request.target_language
    if source is not None and source == target:
        name = LANGUAGE_NAMES[source]
        raise UserError(f"Source and target are both {name}; choose the other language as the target.")
    if source is not None:
        target = other_language(source)
    return request if target is None else with_target(request, target, prompt)


def with_target(request: Request, target: Language, prompt: PromptFormat) -> Request:
    """The request with its target language and a voice that speaks it.

    Raises:
        UserError: if the voice speaks another language.
    """
    return replace(request, target_language=target, voice=_voice_for(request.voice, target, prompt))


def _voice_for(voice: str | None, language: Language, prompt: PromptFormat) -> str | None:
    if voice is None:
        return prompt.default_voices.get(language)
    if prompt.voices[voice] != language:
        spoken, name = LANGUAGE_NAMES[prompt.voices[voice]], LANGUAGE_NAMES[language]
        fitting = ", ".join(other for other, spoken in prompt.voices.items() if spoken == language)
        raise UserError(f"The voice {voice} speaks {spoken}, not {name}; choose one of: {fitting}.")
    return voice


def _with_text(request: Request, prompt: PromptFormat) -> Request:
    if request.text is None:
        raise UserError("There is no text; type a sentence.")
    source, target = request.source_language, request.target_language
    if request.task is Task.MT and source is None and target is not None:
        source = other_language(target)
    if request.task is Task.TTS:
        source = source or target
        if target not in (None, source):
            raise UserError("Speaking does not translate: give one language only.")
    check_text(request.text, source)
    source = source or guess_language(request.text) or "ja"
    request = replace(request, text=speakable(request.text), source_language=source)
    if request.task is Task.TTS:
        return replace(request, target_language=source, voice=_voice_for(request.voice, source, prompt))
    if target == source:
        raise UserError(f"The text is already {LANGUAGE_NAMES[source]}; choose the other language as the target.")
    return replace(request, target_language=other_language(source), voice=None)
