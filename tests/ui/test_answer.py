"""How parts of an answer become what the page shows."""

from dataclasses import replace
from typing import Any

import gradio as gr
import numpy as np
import pytest

from stsmt.audio import Audio
from stsmt.example import Mode, Task
from stsmt.health import Health
from stsmt.requests import AudioPart, Model, Request, Result, TextPart, Timing
from stsmt.ui.answer import Panel, health_line, notices, panel, show
from stsmt.ui.compare import outcomes
from stsmt.ui.streaming import Memory, Part, pcm
from tests.conftest import make_speech

HEALTH = Health(True, False, 3, 0.02, 0.1, 1.0, 1.2, 0)
RESULT = Result(
    task=Task.STS,
    source_language="en",
    target_language="ja",
    mode=Mode.CHAIN,
    transcript="Where is the <station>?",
    translation="駅はどこですか。",
    text="駅はどこですか。",
    audio=make_speech(1.0),
    codes=(1, 2),
    health=HEALTH,
    timing=Timing(0.1, 0.4, 0.5, 0.2, 0.8, 0.8),
    model=Model("embedded", "rev-1"),
    seed=0,
    confidence=0.9,
    warnings=(),
    unsure=(),
)


@pytest.fixture
def into() -> Panel:
    with gr.Blocks():
        return panel(gr.HTML(""), ("transcript", "translation"), speech=True, streams=True)


def updates(parts: list[Part], into: Panel) -> list[dict[Any, Any]]:
    return list(show(parts, into, make_speech(0.5), "en", False))


def test_text_sound_and_result_appear_in_order(into: Panel) -> None:
    half = Audio(make_speech().samples[:8000], 16000)
    parts: list[Part] = [TextPart("transcript", "Where"), TextPart("translation", "駅"), AudioPart(half), RESULT]
    shown = updates(parts, into)
    assert shown[0][into.transcript] == "Where"
    assert shown[1][into.translation] == "駅"
    assert shown[2][into.live]["visible"] is True
    rate, samples = shown[3][into.live]
    assert (rate, samples.dtype, len(samples)) == (16000, np.int16, 8000)
    last = shown[-1]
    assert last[into.translation] == "駅はどこですか。"
    assert len(last[into.final]["value"][1]) == 16000
    assert last[into.figures].count("<figure") == 2


def test_small_pieces_of_sound_are_gathered(into: Panel) -> None:
    piece = Audio(make_speech().samples[:1600], 16000)  # 0.1 s
    shown = updates([*[AudioPart(piece)] * 10, RESULT], into)
    chunks = [update[into.live] for update in shown if isinstance(update.get(into.live), tuple)]
    assert sum(len(samples) for _, samples in chunks) == 16000
    assert len(chunks) == 3


def test_a_second_attempt_is_announced_and_begins_after_a_pause(into: Panel) -> None:
    piece = make_speech(1.0)
    shown = updates([AudioPart(piece, 0), AudioPart(piece, 1), RESULT], into)
    assert any("starting again" in str(update.get(into.status)) for update in shown)
    chunks = [update[into.live][1] for update in shown if isinstance(update.get(into.live), tuple)]
    assert len(chunks[1]) == 24000
    assert not chunks[1][:8000].any()


def test_loudness_is_kept_between_chunks() -> None:
    _, samples = pcm(Audio(np.array([0.25, -0.5, 2.0], np.float32), 16000))
    assert samples.tolist() == [8192, -16384, 32767]
    stored = np.arange(-32768, 32768, 7, dtype=np.int16)
    assert (pcm(Audio(stored.astype(np.float32) / 32768, 16000))[1] == stored).all()


def test_the_health_line_says_how_it_went() -> None:
    line = health_line(RESULT, "en")
    for words in ("ended by itself", "no loops", "retries: 0", "1.0 s of speech", "factor 0.80", "embedded (rev-1)"):
        assert words in line
    troubled = replace(RESULT, health=replace(HEALTH, end_reached=False, cap_hit=True, loop=True, repeat_share=0.7))
    assert "cut off" in health_line(troubled, "en")
    assert "70 %" in health_line(troubled, "en")
    assert "長さの上限" in health_line(troubled, "ja")


@pytest.mark.parametrize("reason", ["low_confidence", "loop", "cap", "silence"])
def test_doubts_are_shown(reason: str) -> None:
    notice = notices(replace(RESULT, unsure=(reason,)), "en")
    assert "unsure about this result" in notice
    assert 'role="alert"' in notice


def test_a_sound_result_has_no_notice() -> None:
    assert notices(RESULT, "en") == ""


class Counting:
    """A translator that counts and answers everything alike."""

    def __init__(self) -> None:
        self.asked: list[Request] = []

    def stream(self, request: Request) -> Any:
        self.asked.append(request)
        yield replace(RESULT, task=request.task)


def test_the_same_request_is_answered_from_memory() -> None:
    counting: Any = Counting()
    memory = Memory(counting)
    request = Request(Task.STS, make_speech(), seed=1)
    assert memory.run(request) is memory.run(replace(request, audio=make_speech()))
    assert memory.knows(request)
    for other in (replace(request, seed=2), replace(request, voice="mei"), replace(request, audio=make_speech(0.5))):
        memory.run(other)
    assert len(counting.asked) == 4


def test_memory_is_bounded_in_number_and_time() -> None:
    counting: Any = Counting()
    memory = Memory(counting, size=2)
    for seed in (1, 2, 3):
        memory.run(Request(Task.TTS, text="a", seed=seed))
    assert [memory.knows(Request(Task.TTS, text="a", seed=seed)) for seed in (1, 2, 3)] == [False, True, True]
    forgetful = Memory(counting, seconds=-1)
    forgetful.run(Request(Task.TTS, text="a"))
    assert not forgetful.knows(Request(Task.TTS, text="a"))


def test_an_answer_that_was_broken_off_is_not_remembered() -> None:
    counting: Any = Counting()
    memory = Memory(counting)
    request = Request(Task.TTS, text="a")
    memory.stream(request).close()  # type: ignore[attr-defined]
    stream = memory.stream(request)
    next(stream)
    stream.close()  # type: ignore[attr-defined]
    assert not memory.knows(request)


def test_a_cascade_is_three_requests_with_the_voice_on_the_last() -> None:
    counting: Any = Counting()
    found = list(outcomes(Memory(counting), Request(Task.STS, make_speech(), target_language="ja", voice="mei")))
    assert [outcome.way for outcome in found] == ["direct", "chain", "cascade"]
    assert [request.task for request in counting.asked[2:]] == [Task.STT, Task.MT, Task.TTS]
    assert [request.voice for request in counting.asked[2:]] == [None, None, "mei"]
    assert counting.asked[2].source_language == "en"
    assert found[2].total == pytest.approx(3 * 0.8)
