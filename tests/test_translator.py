"""From a request to text, codes and sound: with a scripted model for what must hold, with a tiny one for the whole."""

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.example import Mode, Task
from stsmt.lm import Sampling, Token
from stsmt.prompt import PromptFormat
from stsmt.requests import AudioPart, Request, Result, TextPart
from stsmt.translator import Translator
from tests.conftest import make_speech
from tests.tiny import CODEBOOK_SIZE, prompt_data, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
PROMPT = PromptFormat(prompt_data(), TOKENIZER, CODEBOOK_SIZE)
HEARING = PromptFormat(prompt_data(hearing=True), TOKENIZER, CODEBOOK_SIZE)
CUES = range(PROMPT.speech_ids.stop, len(TOKENIZER))
READING = (CUES[1], CUES[2], CUES[0])
CODES = tuple(np.random.default_rng(0).permutation(CODEBOOK_SIZE).tolist())


class ScriptedCodec:
    """50 codes a second; a code sounds as a constant level of its own."""

    sample_rate, frame_rate, codebook_size = 16000, 50.0, CODEBOOK_SIZE

    def encode(self, audio: Audio) -> tuple[int, ...]:
        return (1,) * int(audio.seconds * 50)

    def decode(self, codes: Sequence[int]) -> Audio:
        levels = (np.array(codes, np.float32) + 1) / CODEBOOK_SIZE
        wave = np.tile(np.sin(np.arange(320) * 0.3).astype(np.float32), len(codes))
        return Audio(np.repeat(levels, 320) * wave, 16000)


class ScriptedLM:
    """Gives one prepared answer per call: text, codes, or ids; "…" at the end of a text leaves out its end."""

    vocab_size, context = len(TOKENIZER), 2000

    def __init__(self, *answers: Any, japanese: float = 0.99, probability: float = 0.999) -> None:
        self.answers, self.japanese, self.probability = list(answers), japanese, probability
        self.calls: list[tuple[list[int], Sampling]] = []
        self.reading: tuple[int | None, ...] = READING

    def generate(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        self.calls.append((list(ids), sampling))
        answer = self.reading if sampling.allowed == (CUES,) else self.answers.pop(0)
        open_ended = answer[-1:] in ("…", (None,))
        answer = answer[:-1] if open_ended else answer
        if isinstance(answer, str):
            made = PROMPT.encode_text(answer)
        else:
            made = [id if id in CUES else PROMPT.speech_offset + id for id in answer]
        for id in [*made, *([] if open_ended else [sampling.stop])][: sampling.max_new_tokens]:
            assert id == sampling.stop or any(id in ids for ids in sampling.allowed)
            yield Token(id, math.log(self.probability))

    def next_log_probabilities(self, ids: Sequence[int], candidates: Sequence[int]) -> list[float]:
        assert list(candidates) == [PROMPT.transcript_marker("ja"), PROMPT.transcript_marker("en")]
        return [math.log(self.japanese), math.log(1 - self.japanese)]


def scripted(*answers: Any, **options: float) -> Translator:
    return Translator(ScriptedLM(*answers, **options), PROMPT, ScriptedCodec(), "scripted", "r1")


def calls(translator: Translator) -> list[tuple[list[int], Sampling]]:
    assert isinstance(translator.lm, ScriptedLM)
    return translator.lm.calls


STS = Request(Task.STS, audio=make_speech(2.0))
CHAIN = ("駅はどこですか。", "Where is the station?", CODES)
TRANSCRIPT_PROBABILITY = 0.999 ** (len(PROMPT.encode_text(CHAIN[0])) + 1)  # its end is a token, too


# -- what comes out --------------------------------------------------------------------------------------------------


def test_a_chain_gives_transcript_translation_and_speech() -> None:
    result = scripted(*CHAIN).run(STS)
    assert (result.source_language, result.target_language, result.mode) == ("ja", "en", Mode.CHAIN)
    assert (result.transcript, result.translation) == CHAIN[:2]
    assert result.text == result.translation
    assert result.codes == CODES
    assert result.audio is not None and result.audio.seconds == pytest.approx(len(CODES) / 50)
    assert result.health.end_reached and not result.health.cap_hit and result.health.retries == 0
    assert result.confidence == pytest.approx(TRANSCRIPT_PROBABILITY)
    assert result.warnings == result.unsure == ()


def test_text_comes_while_it_is_written_then_sound_then_the_result() -> None:
    parts = list(scripted(*CHAIN).stream(STS))
    kinds = [type(part) for part in parts]
    assert kinds == sorted(kinds, key=[TextPart, AudioPart, Result].index)
    transcripts = [part.text_so_far for part in parts if isinstance(part, TextPart) and part.field == "transcript"]
    assert len(transcripts) > 3 and transcripts[-1] == CHAIN[0]
    assert all("\ufffd" not in text and CHAIN[0].startswith(text) for text in transcripts)
    result = parts[-1]
    assert isinstance(result, Result) and result.audio is not None
    heard = np.concatenate([part.audio.samples for part in parts if isinstance(part, AudioPart)])
    assert np.allclose(heard, result.audio.samples, atol=1e-6)


def test_running_equals_streaming() -> None:
    *_, streamed = scripted(*CHAIN).stream(STS)
    run = scripted(*CHAIN).run(STS)
    assert isinstance(streamed, Result)
    assert (run.text, run.codes, run.health) == (streamed.text, streamed.codes, streamed.health)


def test_each_phase_continues_the_ids_before_it_and_allows_only_its_own_kind() -> None:
    translator = scripted(*CHAIN)
    translator.run(STS)
    prompts = [ids for ids, _ in calls(translator)]
    for before, after in pairwise(prompts):
        assert after[: len(before)] == before
    text, _, reading, speech = (sampling for _, sampling in calls(translator))
    assert text.temperature == reading.temperature == 0 and speech.temperature > 0
    assert text.allowed == PROMPT.text_ids and reading.allowed == (CUES,) and speech.allowed == PROMPT.spoken_ids
    assert prompts[0][-1] == PROMPT.transcript_marker("ja")


def test_what_is_heard_is_written_in_phones_before_its_transcript() -> None:
    heard = (CUES[1], CUES[2], CUES[1])
    translator = Translator(ScriptedLM(heard, *CHAIN), HEARING, ScriptedCodec(), "scripted", "r1")
    result = translator.run(STS)
    assert (result.transcript, result.translation, result.codes) == CHAIN
    assert result.confidence == pytest.approx(TRANSCRIPT_PROBABILITY), "of its words, not of the phones before them"
    assert result.health.end_reached
    (before, hearing), (after, text), *_ = calls(translator)
    assert before[-1] == HEARING.transcript_marker("ja") and after == [*before, *heard, hearing.stop]
    assert hearing.temperature == 0 and text.allowed == HEARING.text_ids
    assert not any(hearing.stop in ids for ids in hearing.allowed)


def test_speech_follows_the_reading_and_a_reading_without_end_is_not_followed() -> None:
    translator = scripted(CODES)
    translator.run(Request(Task.TTS, text="Hello."))
    spoken = calls(translator)[-1][1]
    assert (spoken.script, spoken.scripted) == (READING, PROMPT.cue_ids)
    endless = scripted(CODES)
    endless.lm.reading = (*READING, None)  # type: ignore[attr-defined]
    endless.run(Request(Task.TTS, text="Hello."))
    assert calls(endless)[-1][1].script == ()


def test_the_other_tasks() -> None:
    transcribed = scripted("Hello.", japanese=0.1).run(Request(Task.STT, audio=make_speech(1)))
    assert (transcribed.source_language, transcribed.text, transcribed.audio) == ("en", "Hello.", None)
    spoken = scripted(CODES).run(Request(Task.TTS, text="Hello."))
    assert (spoken.source_language, spoken.target_language, spoken.text) == ("en", "en", "Hello.")
    assert spoken.codes == CODES and spoken.confidence is None
    translated = scripted("やあ。").run(Request(Task.MT, text="Hello."))
    assert (translated.target_language, translated.text, translated.transcript) == ("ja", "やあ。", None)
    direct = scripted(CODES).run(replace(STS, mode=Mode.DIRECT))
    assert (direct.transcript, direct.translation, direct.codes) == (None, None, CODES)
    assert direct.source_language == "ja" and direct.health.expected_seconds == pytest.approx(2.0)


def test_a_result_becomes_json_with_the_promised_fields() -> None:
    document = json.loads(json.dumps(scripted(*CHAIN).run(STS).to_json("out.wav")))
    assert set(document) == {
        *("task", "source_language", "target_language", "mode", "transcript", "translation", "text", "audio"),
        *("health", "timing", "model", "seed", "confidence", "warnings", "unsure"),
    }
    assert document["task"] == "STS" and document["mode"] == "chain"
    assert document["audio"] == {"path": "out.wav", "seconds": 1.28, "sample_rate": 16000}
    assert document["model"] == {"name": "scripted", "revision": "r1"}
    health = {"end_reached", "cap_hit", "longest_run", "repeat_share", "silence_share", "retries"}
    assert health <= set(document["health"])
    timing = {"encode", "first_audio", "generate", "decode", "total", "real_time_factor"}
    assert timing == set(document["timing"])
    assert document["timing"]["total"] >= document["timing"]["first_audio"] > 0
    assert scripted("x").run(Request(Task.STT, audio=make_speech(1))).to_json()["audio"] is None


# -- languages and voices --------------------------------------------------------------------------------------------


def test_the_target_is_the_other_language_than_the_one_heard() -> None:
    result = scripted(*CHAIN[::-1][1:], CODES, japanese=0.2).run(STS)
    assert (result.source_language, result.target_language) == ("en", "ja")


@pytest.mark.parametrize("mode", Mode)
def test_speech_already_in_the_target_language_is_refused_when_that_is_sure(mode: Mode) -> None:
    request = replace(STS, target_language="ja", mode=mode)
    with pytest.raises(UserError, match="sounds Japanese, which is already the target; choose English"):
        scripted(japanese=0.95).run(request)
    answer = (CODES,) if mode is Mode.DIRECT else ("Hi", "やあ", CODES)
    assert scripted(*answer, japanese=0.6).run(request).source_language == "en"


def test_a_given_source_language_is_not_identified() -> None:
    result = scripted(*CHAIN, japanese=0.01).run(replace(STS, source_language="ja"))
    assert result.source_language == "ja"


def test_the_default_voice_follows_the_target() -> None:
    translator = scripted(*CHAIN)
    translator.run(STS)
    voice = TOKENIZER.convert_tokens_to_ids("<|voice_slt|>")
    assert voice in calls(translator)[0][0]
    translator = scripted(*CHAIN)
    translator.run(replace(STS, voice="awb"))
    assert voice not in calls(translator)[0][0]


# -- guards ----------------------------------------------------------------------------------------------------------

LOOP = CODES[:20] + (7,) * 60


def test_a_loop_is_stopped_and_tried_again_with_another_seed() -> None:
    translator = scripted(*CHAIN[:2], LOOP, CODES)
    result = translator.run(STS)
    assert result.codes == CODES
    assert result.health.retries == 1 and not result.health.loop and result.unsure == ()
    assert [sampling.seed for _, sampling in calls(translator)[3:]] == [0, 1]


def test_after_two_retries_the_loop_is_returned_and_said() -> None:
    translator = scripted(*CHAIN[:2], LOOP, LOOP, LOOP)
    result = translator.run(STS)
    assert len(result.codes) == 70  # stopped after 50 repeats
    assert result.health.retries == 2 and result.health.loop
    assert "loop" in result.unsure
    assert not result.health.end_reached


def test_a_loop_in_text_is_tried_again_warmer() -> None:
    translator = scripted("ええと" * 40, *CHAIN)
    result = translator.run(STS)
    assert result.transcript == CHAIN[0] and result.health.retries == 1
    assert [sampling.temperature for _, sampling in calls(translator)[:2]] == [0, 0.3]


def test_streamed_sound_says_when_it_starts_again() -> None:
    parts = list(scripted(*CHAIN[:2], LOOP, CODES).stream(STS))
    assert [part.attempt for part in parts if isinstance(part, AudioPart)] == [0, 0, 1, 1]


def test_what_does_not_end_is_cut_and_said() -> None:
    endless = (*np.random.default_rng(1).integers(0, CODEBOOK_SIZE, 2000).tolist(), None)
    result = scripted(*CHAIN[:2], endless).run(STS)
    assert result.health.cap_hit and "cap" in result.unsure
    assert result.health.seconds < 4 * result.health.expected_seconds


def test_doubt_is_said() -> None:
    assert "low_confidence" in scripted(*CHAIN, probability=0.9).run(STS).unsure

    class Mute(ScriptedCodec):
        def decode(self, codes: Sequence[int]) -> Audio:
            return Audio(np.zeros(len(codes) * 320, np.float32), 16000)

    assert "silence" in Translator(ScriptedLM(*CHAIN), PROMPT, Mute()).run(STS).unsure


def test_answers_stay_inside_the_context() -> None:
    translator = scripted(*CHAIN)
    translator.lm.context = 330  # type: ignore[misc]
    translator.run(STS)
    assert all(len(ids) + sampling.max_new_tokens <= 330 for ids, sampling in calls(translator))
    translator = scripted(*CHAIN)
    translator.lm.context = 140  # type: ignore[misc]
    with pytest.raises(UserError, match="too long for the model"):
        translator.run(STS)


# -- long input ------------------------------------------------------------------------------------------------------


def test_long_speech_is_answered_in_pieces_at_their_places() -> None:
    pause = np.zeros(16000, np.float32)
    samples = np.concatenate([make_speech(12).samples, pause, make_speech(12).samples])
    request = Request(Task.STS, audio=Audio(samples, 16000))
    answers = ("はい。", "Yes.", CODES, "いいえ。", "No.", CODES[::-1])
    *parts, result = scripted(*answers).stream(request)
    assert isinstance(result, Result) and result.audio is not None
    assert (result.transcript, result.translation) == ("はい。いいえ。", "Yes. No.")
    assert result.codes == CODES + CODES[::-1]
    assert "2 pieces" in result.warnings[0]
    loud = np.flatnonzero(np.abs(result.audio.samples) > 1e-3) / 16000
    assert loud[0] < 0.1 and np.diff(loud).max() > 10  # the second piece waits for its time
    assert loud[np.argmax(np.diff(loud)) + 1] == pytest.approx(12.9, abs=0.3)
    heard = np.concatenate([part.audio.samples for part in parts if isinstance(part, AudioPart)])
    assert len(heard) == len(result.audio.samples)
    last = [part.text_so_far for part in parts if isinstance(part, TextPart)][-1]
    assert last == "Yes. No."


# -- bad requests ----------------------------------------------------------------------------------------------------

BAD_AUDIO = {
    "empty": Audio(np.zeros(0, np.float32), 16000),
    "silent": Audio(np.zeros(16000, np.float32), 16000),
    "too short": make_speech(0.05),
    "too long": make_speech(600, 8000),
    "not numbers": Audio(np.full(16000, np.nan, np.float32), 16000),
    "NaN or infinite": Audio(np.full(16000, np.inf, np.float32), 16000),
}
BAD_REQUESTS: list[tuple[Request, str]] = [
    *((Request(task, audio=audio), words) for task in (Task.STS, Task.STT) for words, audio in BAD_AUDIO.items()),
    (Request(Task.STS), "no recording"),
    (Request(Task.TTS), "no text"),
    (Request(Task.TTS, text=""), "text is empty"),
    (Request(Task.TTS, text="a" * 10_000), "too long"),
    (Request(Task.TTS, text="🎉"), "no words"),
    (Request(Task.TTS, text="a\x07b"), "control characters"),
    (Request(Task.TTS, text="<|im_end|> hello"), ""),
    (Request(Task.TTS, text="Hello", target_language="ja"), "looks English, not Japanese"),
    (Request(Task.TTS, text="Hello", source_language="en", target_language="ja"), "one language only"),
    (Request(Task.TTS, text="Hello", voice="mei"), "voice mei speaks Japanese, not English; choose one of: slt, awb"),
    (Request(Task.TTS, text="Hello", voice="bob"), "Unknown voice 'bob'; choose one of: mei"),
    (Request(Task.TTS, text="Hello", seed=-1), "seed must be"),
    (Request(Task.TTS, text="Hello", seed=2**40), "seed must be"),
    (Request(Task.TTS, text="Hello", seed=1.5), "seed must be"),  # type: ignore[arg-type]
    (Request(Task.MT, text="Hello", target_language="en"), "looks English, not Japanese"),
    (Request(Task.MT, text="Hello", source_language="en", target_language="en"), "already English"),
    (replace(STS, source_language="ja", target_language="ja"), "both Japanese"),
    (replace(STS, target_language="fr"), "Unknown language 'fr'"),  # type: ignore[arg-type]
    (replace(STS, mode="magic"), "Unknown mode 'magic'; choose one of: chain, direct"),  # type: ignore[arg-type]
    (replace(STS, target_language="en", voice="mei"), "voice mei speaks Japanese"),
    (Request("XYZ"), "Unknown task 'XYZ'"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("request_", "words"), [bad for bad in BAD_REQUESTS if bad[1]])
def test_a_bad_request_gets_a_sentence_before_anything_is_generated(request_: Request, words: str) -> None:
    translator = scripted()
    with pytest.raises(UserError, match=words):
        translator.stream(request_)  # at the call, not at the first part
    with pytest.raises(UserError, match=words):
        translator.run(request_)


def test_a_voice_of_the_source_language_is_refused_once_that_is_known() -> None:
    with pytest.raises(UserError, match="voice mei speaks Japanese, not English"):
        scripted(*CHAIN).run(replace(STS, voice="mei"))


def test_control_tokens_in_text_are_ordinary_characters() -> None:
    translator = scripted(CODES)
    translator.run(Request(Task.TTS, text="Say <|im_end|> now"))
    ids, _ = calls(translator)[0]
    assert ids.count(PROMPT.end_of_turn) == 2  # of the system and the user turn


def test_emoji_are_left_out_and_that_is_said() -> None:
    result = scripted(CODES).run(Request(Task.TTS, text="Hello 🎉"))
    assert result.text == "Hello" and "emoji" in result.warnings[0]
