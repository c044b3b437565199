"""What evaluation does with one utterance: every task once, heard by the judge, written down as plain data.

`PARTS` names the tasks; a new measurement is a new function there and a new row in `training.summary`. A part that
fails leaves empty hypotheses and its error: failures are scored as wrong, never skipped.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol

import numpy as np

from stsmt.audio import Audio
from stsmt.example import HEARD, LANGUAGES, Example, Field, Language, Mode, Task, other_language
from stsmt.lm import LM, Sampling
from stsmt.prompt import PromptFormat
from stsmt.requests import Request, Result
from stsmt.translator import Translator
from training.fidelity import fidelity
from training.phrasebook.grammar import Phrase
from training.robustness import Alter

Record = dict[str, Any]
Role = Literal["target", "unseen"]
Speak = Callable[[str, Language, str], Audio]
Reading = Callable[[str, Language], str]


class Judge(Protocol):
    """A recogniser that shares nothing with the model under test."""

    def transcribe(self, audios: Sequence[Audio], language: Language) -> list[str]: ...


@dataclass(frozen=True)
class HeldOutSet:
    """Utterances of one kind: whose phrases (`split`), whose voices, which parts, and what spoils the sound.

    `alter(audio, seed)` is for robustness sets: noise, band limit, tempo …
    """

    name: str
    split: str
    role: Role
    parts: tuple[str, ...]
    alter: Alter | None = None


@dataclass(frozen=True)
class Item:
    """One phrase, spoken in `language` by `voice`, to be translated into the other language."""

    held_out: HeldOutSet
    language: Language
    phrase: Phrase
    voice: str
    seed: int

    @property
    def key(self) -> str:
        return f"{self.held_out.name}/{self.language}/{self.phrase.id}"

    @property
    def target(self) -> Language:
        return other_language(self.language)

    @property
    def source_text(self) -> str:
        return text_of(self.phrase, self.language)

    @property
    def target_text(self) -> str:
        return text_of(self.phrase, self.target)


def text_of(phrase: Phrase, language: Language) -> str:
    return phrase.ja if language == "ja" else phrase.en


@dataclass(frozen=True)
class Bench:
    """The model under test and what measures it.

    `speak(text, language, voice)` synthesises; `reading(text, language)` writes a text as the judge writes.
    """

    translator: Translator
    judge: Judge
    speak: Speak
    reading: Reading


@dataclass(frozen=True)
class _Trial:
    """An item on the bench, with its sound."""

    bench: Bench
    item: Item

    @cached_property
    def audio(self) -> Audio:
        audio = self.bench.speak(self.item.source_text, self.item.language, self.item.voice)
        return self.item.held_out.alter(audio, self.item.seed) if self.item.held_out.alter else audio

    @cached_property
    def codes(self) -> tuple[int, ...]:
        return self.bench.translator.codec.encode(self.audio)

    def hear(self, audio: Audio | None, language: Language) -> str:
        """What the judge understands; nothing if there is no sound."""
        if audio is None or not len(audio.samples):
            return ""
        return self.bench.judge.transcribe([audio], language)[0]


def measure(bench: Bench, item: Item) -> Record:
    """All parts of one item."""
    trial = _Trial(bench, item)
    return {
        "key": item.key,
        "set": item.held_out.name,
        "language": item.language,
        "target": item.target,
        "phrase": item.phrase.id,
        "template": item.phrase.template,
        "voice": item.voice,
        "source_text": item.source_text,
        "target_text": item.target_text,
        "source_reading": bench.reading(item.source_text, item.language),
        "target_reading": bench.reading(item.target_text, item.target),
        "source_seconds": round(trial.audio.seconds, 3),
        "parts": {name: _attempt(PARTS[name], trial) for name in item.held_out.parts},
    }


def _attempt(part: Callable[[_Trial], Record], trial: _Trial) -> Record:
    try:
        return part(trial)
    except Exception as error:  # a crash of the model is a result too; the report counts it
        return {"error": f"{type(error).__name__}: {error}"}


# -- parts -----------------------------------------------------------------------------------------------------------


def _judge(trial: _Trial) -> Record:
    """The judge on the original sound: how far its own errors reach."""
    return {"heard": trial.hear(trial.audio, trial.item.language)}


def _codec(trial: _Trial) -> Record:
    """The judge on the sound through the codec and back: the best that speech in codes can do."""
    made = trial.bench.translator.codec.decode(trial.codes)
    heard = trial.hear(made, trial.item.language)
    return {"heard": heard, "codes": list(trial.codes), **fidelity(made, trial.audio)}


def _stt(trial: _Trial) -> Record:
    return _answer(trial, Request(Task.STT, audio=trial.audio, seed=trial.item.seed))


def _chain(trial: _Trial) -> Record:
    return _speech_to_speech(trial, Mode.CHAIN)


def _direct(trial: _Trial) -> Record:
    return _speech_to_speech(trial, Mode.DIRECT)


def _speech_to_speech(trial: _Trial, mode: Mode) -> Record:
    item = trial.item
    request = Request(Task.STS, audio=trial.audio, target_language=item.target, mode=mode, seed=item.seed)
    return _answer(trial, request)


def _mt(trial: _Trial) -> Record:
    item = trial.item
    return _answer(trial, Request(Task.MT, text=item.source_text, source_language=item.language, seed=item.seed))


def _tts(trial: _Trial) -> Record:
    """Speaks the source sentence, in the item's voice where the model has it."""
    item, voices = trial.item, trial.bench.translator.prompt.voices
    voice = item.voice if item.voice in voices else None
    text = Request(Task.TTS, text=item.source_text, source_language=item.language, voice=voice, seed=item.seed)
    return _answer(trial, text)


def _answer(trial: _Trial, request: Request) -> Record:
    result = trial.bench.translator.run(request)
    found = _plain(result)
    if result.audio is not None:
        found["heard"] = trial.hear(result.audio, result.target_language)
    return found


def _plain(result: Result) -> Record:
    data = result.to_json()
    kept = ("source_language", "transcript", "translation", "health", "timing", "confidence", "unsure")
    return {name: data[name] for name in kept}


def _routing(trial: _Trial) -> Record:
    """Which field would the model open by itself, with the openings of all tasks to choose from; and after what it
    has heard, would it write words (STT, chain) or plan phones (direct)?"""
    item, prompt, lm = trial.item, trial.bench.translator.prompt, trial.bench.translator.lm
    openings: dict[int, Field] = {}
    for language in LANGUAGES:
        for example in _examples(language, ""):
            opening = prompt.phases(example)[0]
            openings[opening.opening[0]] = opening.field
    found: Record = {"routed": {}}
    for example in _examples(item.language, item.source_text, trial.codes):
        expected = prompt.phases(example)[0]
        scores = lm.next_log_probabilities(prompt.render_prompt(example), list(openings))
        chosen = max(zip(scores, openings, strict=True))[1]
        # A transcript in the other language is routed well and heard wrong: that is counted apart.
        heard = expected.field in HEARD
        right = openings[chosen] == expected.field if heard else chosen == expected.opening[0]
        if right and expected.field == "hearing":
            right = goes_on(lm, prompt, example)
        found["routed"][f"{example.task}.{example.mode}" if example.task is Task.STS else str(example.task)] = right
        if example.task is Task.STT:
            found["identified"] = chosen == expected.opening[0]
    return found


def goes_on(lm: LM, prompt: PromptFormat, example: Example) -> bool:
    """After the phones that it hears, is the field most probable that was asked for?"""
    hearing, asked = prompt.phases(example)[:2]
    ids = [*prompt.render_prompt(example), *hearing.opening]
    cap = len(example.source_codes or ()) + 1
    heard = [token.id for token in lm.generate(ids, Sampling(hearing.allowed, hearing.end, cap))]
    if heard[-1] != hearing.end:
        return False
    words, phones = ([id for ids in kind for id in ids] for kind in (prompt.text_ids, prompt.cue_ids))
    scores = np.exp(lm.next_log_probabilities([*ids, *heard], [*words, *phones]))
    return bool(scores[: len(words)].sum() > scores[len(words) :].sum()) == asked.is_text


def _examples(language: Language, text: str, codes: tuple[int, ...] = ()) -> list[Example]:
    """One request of every task from `language`."""
    target = other_language(language)
    return [
        Example(Task.STT, language, language, source_codes=codes),
        Example(Task.STS, language, target, Mode.CHAIN, source_codes=codes),
        Example(Task.STS, language, target, Mode.DIRECT, source_codes=codes),
        Example(Task.MT, language, target, source_text=text),
        Example(Task.TTS, language, language, source_text=text),
    ]


PARTS: dict[str, Callable[[_Trial], Record]] = {
    "judge": _judge,
    "codec": _codec,
    "stt": _stt,
    "chain": _chain,
    "direct": _direct,
    "mt": _mt,
    "tts": _tts,
    "routing": _routing,
}
FROM_SPEECH = ("judge", "codec", "stt", "chain", "direct", "routing")  # the parts that a voice can change
