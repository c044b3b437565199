"""The app as programs see it: a real server, asked through gradio_client."""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from stsmt.audio import Audio, read_audio, write_wav
from stsmt.requests import Request
from stsmt.translator import Translator
from tests.conftest import make_speech

Serve = Callable[..., str]


@pytest.fixture(scope="module")
def url(serve: Serve, translator: Translator, examples: Path) -> str:
    return serve(translator, examples)


@pytest.fixture(scope="module")
def client(url: str) -> Client:
    return Client(url, verbose=False)


@pytest.fixture(scope="module")
def clip(examples: Path) -> Any:
    return handle_file(str(examples / "en.wav"))


# -- the four endpoints ----------------------------------------------------------------------------------------------


def test_programs_see_four_endpoints_and_their_arguments_in_order(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    arguments = {name: [p["parameter_name"] for p in e["parameters"]] for name, e in named.items()}
    assert arguments == {
        "/sts": ["audio", "to", "mode", "voice", "seed"],
        "/tts": ["text", "language", "voice", "seed"],
        "/stt": ["audio", "language"],
        "/compare": ["audio", "to", "voice", "seed"],
    }


def test_speech_is_translated_to_text_and_lossless_sound(client: Client, clip: Any) -> None:
    transcript, translation, speech, details = client.predict(clip, "ja", "chain", "mei", 1, api_name="/sts")
    assert (details["transcript"], details["translation"]) == (transcript, translation)
    assert soundfile.info(speech).subtype == "PCM_16"
    assert read_audio(speech).seconds == pytest.approx(details["audio"]["seconds"], abs=0.001)
    assert {"task": "STS", "source_language": "en", "target_language": "ja", "mode": "chain", "seed": 1}.items() <= (
        details.items()
    )
    assert details["model"]["revision"] == "test-0"
    assert {"end_reached", "cap_hit", "longest_run", "repeat_share", "silence_share", "retries"} <= details[
        "health"
    ].keys()


def test_direct_mode_writes_no_text(client: Client, clip: Any) -> None:
    transcript, translation, _, details = client.predict(clip, "ja", "direct", "auto", 0, api_name="/sts")
    assert (transcript, translation, details["mode"]) == ("", "", "direct")


def test_all_but_the_sound_may_be_left_out(client: Client, clip: Any) -> None:
    *_, details = client.predict(clip, api_name="/sts")
    assert {details["source_language"], details["target_language"]} == {"ja", "en"}


def test_text_arrives_as_it_is_written(client: Client, clip: Any) -> None:
    job = client.submit(clip, "ja", "chain", "auto", 3, api_name="/sts")
    job.result()
    transcripts = [output[0] for output in job.outputs()]
    assert len(transcripts) > 2
    assert len(transcripts[0]) < len(transcripts[-1])


def test_text_is_spoken(client: Client) -> None:
    speech, details = client.predict("駅はどこですか。", "auto", "auto", 0, api_name="/tts")
    assert details["target_language"] == "ja"
    assert details["text"] == "駅はどこですか。"
    assert read_audio(speech).seconds > 0


def test_speech_is_written_down(client: Client, clip: Any) -> None:
    text, details = client.predict(clip, "en", api_name="/stt")
    assert text == details["text"] == details["transcript"]
    assert details["audio"] is None


def test_one_clip_is_compared_in_three_ways(client: Client, clip: Any) -> None:
    *sounds, rows = client.predict(clip, "ja", api_name="/compare")
    assert [row["way"] for row in rows] == ["direct", "chain", "cascade"]
    assert rows[0]["transcript"] is None
    assert rows[1]["transcript"] is not None
    assert all(row["total"] > 0 for row in rows)
    assert len(sounds) == 3


def test_the_same_input_and_seed_give_the_same_sound(client: Client, clip: Any) -> None:
    first, again = (client.predict("Where is the station?", "en", "auto", 5, api_name="/tts")[0] for _ in range(2))
    assert Path(first).read_bytes() == Path(again).read_bytes()


# -- bad input -------------------------------------------------------------------------------------------------------


def sentence_of(call: Callable[[], Any]) -> str:
    """The error that a call gives: one line, no traceback, no path of the server."""
    with pytest.raises(AppError) as caught:
        call()
    message = str(caught.value)
    assert "\n" not in message
    assert "Traceback" not in message
    assert "/" not in message.replace("and/or", "")
    return message


def bad_files(folder: Path) -> Iterator[tuple[str, Path, str]]:
    """Name, file, and what its sentence says."""
    contents = {"text": b"this is no sound", "empty": b""}
    for name, content in contents.items():
        (folder / f"{name}.wav").write_bytes(content)
    sounds = {
        "silent": np.zeros(16000, np.float32),
        "short": make_speech(0.05).samples,
        "long": np.tile(make_speech(1.0, 8000).samples, 600),
    }
    for name, samples in sounds.items():
        write_wav(folder / f"{name}.wav", Audio(samples, 8000 if name == "long" else 16000))
    (folder / "truncated.wav").write_bytes((folder / "long.wav").read_bytes()[:3000])
    soundfile.write(folder / "nan.wav", np.full(16000, np.nan), 16000, subtype="FLOAT")
    expected = {
        "text": "not audio",
        "empty": "empty",
        "silent": "silent",
        "short": "too short",
        "long": "too long",
        "truncated": "cut off",
        "nan": "not numbers",
    }
    for name, words in expected.items():
        yield name, folder / f"{name}.wav", words


def test_a_wrong_upload_gets_one_sentence(client: Client, tmp_path: Path) -> None:
    for name, file, words in bad_files(tmp_path):
        message = sentence_of(lambda file=file: client.predict(handle_file(str(file)), api_name="/sts"))  # type: ignore[misc]
        assert words in message, name


def test_any_rate_channels_and_format_are_taken(client: Client, tmp_path: Path) -> None:
    speech = make_speech(1.0, 44100).samples
    soundfile.write(tmp_path / "eight.flac", np.tile(speech[:, None], 8), 44100)
    soundfile.write(tmp_path / "low.ogg", make_speech(1.0, 8000).samples, 8000)
    for file in ("eight.flac", "low.ogg"):
        text, _ = client.predict(handle_file(str(tmp_path / file)), "en", api_name="/stt")
        assert isinstance(text, str)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("fr", "chain", "auto", 0), "Unknown language 'fr'"),
        (("ja", "telepathy", "auto", 0), "Unknown mode 'telepathy'"),
        (("ja", "chain", "hal", 0), "Unknown voice 'hal'"),
        (("ja", "chain", "slt", 0), "The voice slt speaks English"),
        (("ja", "chain", "auto", -1), "The seed must be"),
        (("ja", "chain", "auto", 1.5), "The seed must be"),
    ],
)
def test_a_wrong_choice_gets_one_sentence(client: Client, clip: Any, arguments: tuple[Any, ...], words: str) -> None:
    assert words in sentence_of(lambda: client.predict(clip, *arguments, api_name="/sts"))


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("", "auto", "empty"),
        ("a" * 10_000, "auto", "too long"),
        ("🍣🍜", "auto", "no words"),
        ("Hello\x07", "auto", "control characters"),
        ("Where is it?", "ja", "looks English"),
    ],
)
def test_text_that_cannot_be_spoken_gets_one_sentence(client: Client, text: str, language: str, words: str) -> None:
    assert words in sentence_of(lambda: client.predict(text, language, api_name="/tts"))


def test_no_recording_gets_one_sentence(client: Client) -> None:
    assert "no recording" in sentence_of(lambda: client.predict(None, api_name="/stt"))


def test_errors_follow_the_language_of_the_visitor(url: str) -> None:
    japanese = Client(url, verbose=False, headers={"Accept-Language": "ja-JP,ja;q=0.9,en;q=0.8"})
    assert (
        sentence_of(lambda: japanese.predict("", "auto", api_name="/tts")) == "テキストが空です。文を入力してください。"
    )


class Broken(Translator):
    """A translator with a fault of its own."""

    def stream(self, request: Request) -> Any:
        raise RuntimeError("secret detail")


def test_our_own_fault_is_logged_under_the_reference_that_is_shown(
    serve: Serve, translator: Translator, caplog: pytest.LogCaptureFixture
) -> None:
    broken = Broken(translator.lm, translator.prompt, translator.codec)
    with caplog.at_level(logging.ERROR, logger="stsmt"):
        message = sentence_of(lambda: Client(serve(broken), verbose=False).predict("Hello", "en", api_name="/tts"))
    assert "secret" not in message
    reference = message.split("reference ")[1].rstrip(".")
    assert reference in caplog.text
    assert "secret detail" in caplog.text
