"""Request → prompt → language model → text and codes → sound: the one streaming loop.

`Translator.stream` is the primitive: it gives text while it is written, then sound while it is made, and last the
`Result`. `Translator.run` only keeps the last. Long recordings are cut at pauses and answered piece by piece.
"""

import math
from collections import deque
from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from stsmt.answer import Attempt, Field, attempts
from stsmt.audio import Audio, silence_share, split_at_pauses, trim_silence, warnings_of
from stsmt.checkpoint import locate, read_prompt, revision_of
from stsmt.codec import Codec, decode_stream, load_codec
from stsmt.errors import UserError
from stsmt.example import Example, Language, Task, other_language
from stsmt.health import REPEAT_LIMIT, SILENCE_LIMIT, Health, expected_seconds, measure_codes, measure_text
from stsmt.lm import LM, Sampling, load_lm, load_tokenizer
from stsmt.phase import Phase
from stsmt.prompt import PromptFormat
from stsmt.requests import AudioPart, Model, Request, Result, TextPart, Timing, check_request, with_target
from stsmt.stopwatch import Stopwatch
from stsmt.text import LANGUAGE_NAMES, normalise_for_display

# As likely wrong as right, says the model; `training.calibration` says what share of wrong transcripts that flags.
CONFIDENCE_LIMIT = 0.5  # probability of a whole transcript
SURE_LANGUAGE = 0.9  # from here on the target is refused if the speech is already in it
PIECE_SECONDS = 20.0  # of a recording at once; a checkpoint's "max_source_seconds" replaces it
CONTEXT_PER_CODE = 2.5  # ids of prompt and answer for each code of the source
GENEROSITY = 3.0  # an answer may be this much longer than expected before it is cut
CHARACTERS_PER_SECOND = 15.0  # spoken fast; one id per character at worst
LEAST_TEXT_IDS = 64
LEAST_SECONDS = 3.0


class Translator:
    """A language model, its prompt format and its codec, which together answer requests.

    It keeps nothing of a request; several threads may use it at once.
    """

    def __init__(
        self, lm: LM, prompt: PromptFormat, codec: Codec, name: str = "model", revision: str = "unknown", card: str = ""
    ) -> None:
        if max(prompt.spoken_ids[-1].stop, prompt.text_ids[-1].stop) > lm.vocab_size:
            raise UserError(
                f"The language model of {name} has {lm.vocab_size} tokens, fewer than its tokenizer; "
                "the checkpoint is put together from parts that do not match, so export it again."
            )
        self.lm, self.prompt, self.codec = lm, prompt, codec
        self.model, self.card = Model(name, revision), card
        try:
            limit = float(prompt.data.get("max_source_seconds", PIECE_SECONDS))
            Sampling((), 0, 0, **prompt.data.get("sampling", {}))
        except (TypeError, ValueError) as error:
            raise UserError(f"The prompt.json of {name} is not usable ({error}); repair or re-export it.") from None
        self.piece_seconds = min(limit, lm.context / CONTEXT_PER_CODE / codec.frame_rate)

    @classmethod
    def load(cls, model: str | Path, engine: str = "transformers", device: str = "cpu") -> "Translator":
        """Load a checkpoint folder, or `owner/name@revision` from the Hub.

        Raises:
            UserError: if it is missing, half-written, of another architecture, or its parts do not match.
        """
        folder = locate(model)
        lm = load_lm(folder, engine, device)
        data, own = read_prompt(folder), folder / "codec"
        codec = load_codec(own if own.is_dir() else str(data.get("codec", own)), device)
        prompt = PromptFormat(data, load_tokenizer(folder), codec.codebook_size)
        name = folder.resolve().name if Path(model).is_dir() else str(model).partition("@")[0]
        card = folder / "card.md"
        return cls(lm, prompt, codec, name, revision_of(folder), card.read_text("utf-8") if card.is_file() else "")

    def run(self, request: Request) -> Result:
        """The whole answer.

        Raises:
            UserError: for a request that cannot be answered.
        """
        *_, result = _Run(self, request, live=False).parts()
        assert isinstance(result, Result)
        return result

    def stream(self, request: Request) -> Iterator[TextPart | AudioPart | Result]:
        """Text as it is written, sound as it is made, and last the `Result`.

        Raises:
            UserError: at once for a request that cannot be answered; in the first step for speech that is already in
                the target language.
        """
        return _Run(self, request, live=True).parts()

    def identify(self, codes: Sequence[int]) -> dict[Language, float]:
        """How probable each language is for speech `codes`."""
        ids = self.prompt.render_prompt(Example(Task.STT, "ja", "ja", source_codes=tuple(codes)))
        markers = [self.prompt.transcript_marker(language) for language in ("ja", "en")]
        japanese, english = self.lm.next_log_probabilities(ids, markers)
        return {"ja": math.exp(japanese), "en": math.exp(english)}


@dataclass
class _Run:
    """One request on its way; `live` streams sound before it is complete."""

    translator: Translator
    request: Request
    live: bool
    watch: Stopwatch = field(default_factory=Stopwatch)
    fields: list[Field] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    sounds: list[tuple[float, Audio]] = field(default_factory=list)  # start in seconds, sound
    codes: list[int] = field(default_factory=list)
    expected: float = 0.0
    first_audio: float | None = None
    warnings: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        asked = self.request
        self.request = check_request(asked, self.translator.prompt)
        if self.request.audio is not None:
            self.warnings += warnings_of(self.request.audio)
        elif asked.text is not None and self.request.text != normalise_for_display(asked.text):
            self.warnings.append("Symbols that cannot be spoken, such as emoji, were left out.")

    def parts(self) -> Iterator[TextPart | AudioPart | Result]:
        if self.request.task in (Task.STS, Task.STT):
            yield from self._from_speech()
        else:
            yield from self._answer(self._example(source_text=self.request.text), None, 0.0)
        yield self._result()

    # -- from the request to examples ----------------------------------------------------------------------------

    def _from_speech(self) -> Iterator[TextPart | AudioPart]:
        assert self.request.audio is not None
        pieces = split_at_pauses(self.request.audio, self.translator.piece_seconds)
        if len(pieces) > 1:
            self.warnings.append(f"The recording is long: it was cut at pauses and answered in {len(pieces)} pieces.")
        for start, piece in pieces:
            with self.watch.measure("encode"):
                codes = self.translator.codec.encode(trim_silence(piece))  # the model knows speech, not waiting
            if self.request.source_language is None:
                self._set_languages(codes)
            yield from self._answer(self._example(source_codes=codes), piece.seconds, start)

    def _set_languages(self, codes: Sequence[int]) -> None:
        with self.watch.measure("generate"):
            probabilities = self.translator.identify(codes)
        heard: Language = "ja" if probabilities["ja"] >= probabilities["en"] else "en"
        target = self.request.target_language
        if self.request.task is Task.STT:
            self.request = replace(self.request, source_language=heard, target_language=heard)
            return
        if heard == target and probabilities[heard] > SURE_LANGUAGE:
            name, other = LANGUAGE_NAMES[heard], LANGUAGE_NAMES[other_language(heard)]
            raise UserError(f"The speech sounds {name}, which is already the target; choose {other}.")
        source = heard if target is None else other_language(target)
        self.request = replace(self.request, source_language=source)
        self.request = with_target(self.request, other_language(source), self.translator.prompt)

    def _example(self, source_text: str | None = None, source_codes: Sequence[int] | None = None) -> Example:
        request = self.request
        source, mode = request.source_language, request.mode
        assert source is not None and mode is not None
        target = source if request.task in (Task.STT, Task.TTS) else other_language(source)
        codes = None if source_codes is None else tuple(source_codes)
        voice = request.voice if request.task in (Task.TTS, Task.STS) else None
        return Example(request.task, source, target, mode, voice, source_text, codes)

    # -- one answer ----------------------------------------------------------------------------------------------

    def _answer(self, example: Example, source_seconds: float | None, start: float) -> Iterator[TextPart | AudioPart]:
        """All fields of one example; `start` is where its sound belongs, in seconds."""
        prompt = self.translator.prompt
        ids = prompt.render_prompt(example)
        seconds = source_seconds or 0.0
        if example.task is Task.TTS:
            seconds = expected_seconds(example.source_text or "", example.source_language)
        characters = CHARACTERS_PER_SECOND * seconds + len(example.source_text or "")
        cap = LEAST_TEXT_IDS + round(GENEROSITY * characters)
        for phase in prompt.phases(example):
            if phase.is_speech:
                yield from self._speak(ids, phase, seconds, start)
            elif phase.field in ("hearing", "reading"):
                self._read(ids, phase, cap)
            else:
                text = yield from self._write(ids, phase, cap)
                seconds = expected_seconds(text, example.target_language)
            ids = [*ids, *phase.opening, *self.fields[-1].ids]

    def _write(self, ids: list[int], phase: Phase, cap: int) -> Generator[TextPart, None, str]:
        """Write a text field; returns its text."""
        before = self.texts.get(phase.field)
        for retry, attempt in enumerate(self._attempts(ids, phase, cap)):
            for _ in self.watch.timed("generate", attempt):
                yield TextPart(phase.field, self._joined(before, self._text(attempt.ids), phase.field))
            kept = attempt.finished(phase, retry)
        self.fields.append(kept)
        self.texts[phase.field] = self._joined(before, self._text(kept.ids), phase.field)
        return self._text(kept.ids)

    def _read(self, ids: list[int], phase: Phase, cap: int) -> None:
        """Find out what phones are heard, or how the text is pronounced."""
        for retry, attempt in enumerate(self._attempts(ids, phase, cap)):
            deque(self.watch.timed("generate", attempt), maxlen=0)
            kept = attempt.finished(phase, retry)
        self.fields.append(kept)

    def _text(self, ids: Sequence[int]) -> str:
        """The text of `ids` without a character that is only half there."""
        return self.translator.prompt.decode_text(ids).rstrip("\ufffd").strip()

    def _speak(self, ids: list[int], phase: Phase, expected: float, start: float) -> Iterator[AudioPart]:
        """Make a speech field and its sound, which begins at `start` seconds or after the last one's end."""
        codec, prompt = self.translator.codec, self.translator.prompt
        start = max(start, self._end)
        script = self._script()
        cap = math.ceil(codec.frame_rate * max(GENEROSITY * expected, LEAST_SECONDS)) + len(script)
        for retry, attempt in enumerate(self._attempts(ids, phase, cap, script)):
            codes = prompt.codes_of(self.watch.timed("generate", attempt))
            if self.live:
                yield from self._play(codes, 0.0 if retry else start - self._end, retry)
            else:
                deque(codes, maxlen=0)
            kept = attempt.finished(phase, retry)
        self.fields.append(kept)
        made = list(prompt.codes_of(kept.ids))
        with self.watch.measure("decode"):
            self.sounds.append((start, codec.decode(made)))
        self.first_audio = self.first_audio or self.watch.total
        self.codes += made
        self.expected += expected

    def _play(self, codes: Iterator[int], gap: float, attempt: int) -> Iterator[AudioPart]:
        rate = self.translator.codec.sample_rate
        if gap > 0:
            yield AudioPart(Audio(np.zeros(round(gap * rate), np.float32), rate), attempt)
        for chunk in self.watch.timed("decode", decode_stream(self.translator.codec, codes)):
            self.first_audio = self.first_audio or self.watch.total
            yield AudioPart(chunk, attempt)

    def _script(self) -> tuple[int, ...]:
        """The cues of the speech to come: those of the reading just made, if it is whole."""
        last = self.fields[-1] if self.fields else None
        return last.ids if last is not None and last.phase.field == "reading" and last.end_reached else ()

    def _attempts(self, ids: list[int], phase: Phase, cap: int, script: tuple[int, ...] = ()) -> Iterator[Attempt]:
        translator, seed = self.translator, self.request.seed
        return attempts(translator.lm, translator.prompt, ids, phase, cap=cap, seed=seed, script=script)

    def _joined(self, before: str | None, text: str, field: str) -> str:
        language = self.request.source_language
        assert language is not None
        if field == "translation":
            language = other_language(language)
        return text if before is None else before + ("" if language == "ja" else " ") + text

    @property
    def _end(self) -> float:
        """Where the last sound ends, in seconds."""
        return self.sounds[-1][0] + self.sounds[-1][1].seconds if self.sounds else 0.0

    # -- the result ----------------------------------------------------------------------------------------------

    def _result(self) -> Result:
        request, audio = self.request, self._audio()
        source, target = request.source_language, request.target_language
        assert source is not None
        health, confidence = self._health(audio), self._confidence()
        transcript, translation = self.texts.get("transcript"), self.texts.get("translation")
        asked = {Task.STT: transcript, Task.TTS: request.text}.get(request.task, translation)
        return Result(
            task=request.task,
            source_language=source,
            target_language=target or source,
            mode=request.mode if request.task is Task.STS else None,
            transcript=transcript,
            translation=translation,
            text=asked or "",
            audio=audio,
            codes=tuple(self.codes),
            health=health,
            timing=self._timing(audio),
            model=self.translator.model,
            seed=request.seed,
            confidence=confidence,
            warnings=tuple(self.warnings),
            unsure=_doubts(health, confidence),
        )

    def _audio(self) -> Audio | None:
        """All sounds at their places."""
        if not self.sounds:
            return None
        rate = self.translator.codec.sample_rate
        samples = np.zeros(round(self._end * rate) + len(self.sounds), np.float32)
        stop = 0
        for start, sound in self.sounds:
            first = max(stop, round(start * rate))
            stop = first + len(sound.samples)
            samples[first:stop] = sound.samples
        return Audio(samples[:stop], rate)

    def _health(self, audio: Audio | None) -> Health:
        written = [measure_text(text) for text in self.texts.values()]
        spoken = measure_codes(self.codes)
        runs = [spoken] if self.codes else written
        return Health(
            end_reached=all(made.end_reached for made in self.fields),
            cap_hit=any(made.cap_hit for made in self.fields),
            longest_run=max((measure.longest_run for measure in runs), default=0),
            repeat_share=max(measure.repeat_share for measure in [spoken, *written]),
            silence_share=None if audio is None else silence_share(audio),
            seconds=0.0 if audio is None else audio.seconds,
            expected_seconds=self.expected,
            retries=sum(made.retries for made in self.fields),
            loop=any(made.loop for made in self.fields),
        )

    def _confidence(self) -> float | None:
        """Of the least probable transcript; where there is none, of the translation, else of the phones heard."""
        for wanted in ("transcript", "translation", "hearing"):
            written = [made.log_probability for made in self.fields if made.phase.field == wanted]
            if written:
                return math.exp(min(written))
        return None

    def _timing(self, audio: Audio | None) -> Timing:
        seconds, total = self.watch.seconds, self.watch.total
        sound = audio or self.request.audio
        factor = total / sound.seconds if sound and sound.seconds else None
        return Timing(seconds["encode"], self.first_audio, seconds["generate"], seconds["decode"], total, factor)


def _doubts(health: Health, confidence: float | None) -> tuple[str, ...]:
    found = {
        "low_confidence": confidence is not None and confidence < CONFIDENCE_LIMIT,
        "loop": health.loop or health.repeat_share > REPEAT_LIMIT,
        "cap": health.cap_hit,
        "silence": health.silence_share is not None and health.silence_share > SILENCE_LIMIT,
    }
    return tuple(reason for reason, holds in found.items() if holds)
