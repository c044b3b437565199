"""Sound comes in from anywhere and goes out whole."""

import io
import os
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stsmt.audio import (
    Audio,
    check_speech,
    check_writable,
    loudness,
    read_audio,
    resample,
    silence_share,
    split_at_pauses,
    trim_silence,
    warnings_of,
    wav_bytes,
    write_wav,
)
from stsmt.errors import UserError
from tests.conftest import make_speech


def silence(seconds: float, rate: int = 16000) -> Audio:
    return Audio(np.zeros(round(seconds * rate), np.float32), rate)


def joined(*parts: Audio) -> Audio:
    return Audio(np.concatenate([part.samples for part in parts]), parts[0].sample_rate)


@pytest.mark.parametrize("rate", [8000, 16000, 44100, 96000])
@pytest.mark.parametrize("channels", [1, 2, 8])
def test_any_rate_and_channel_count_is_read_as_mono(tmp_path: Path, rate: int, channels: int) -> None:
    samples = make_speech(0.5, rate).samples
    soundfile.write(tmp_path / "a.wav", np.repeat(samples[:, None], channels, axis=1), rate)
    audio = read_audio(tmp_path / "a.wav")
    assert audio.sample_rate == rate
    assert np.allclose(audio.samples, samples, atol=1e-3)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3"])
def test_common_formats_are_read(tmp_path: Path, suffix: str) -> None:
    soundfile.write(tmp_path / f"a.{suffix}", make_speech(1.0).samples, 16000)
    assert read_audio(tmp_path / f"a.{suffix}").seconds == pytest.approx(1.0, abs=0.1)


def test_bytes_open_files_and_standard_input_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = wav_bytes(make_speech(0.3))

    class Input:
        buffer = io.BytesIO(data)

    monkeypatch.setattr(sys, "stdin", Input)
    for source in (data, io.BytesIO(data), "-"):
        assert read_audio(source).seconds == pytest.approx(0.3)


def test_a_text_file_named_wav_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_text("this is no sound " * 20)
    with pytest.raises(UserError, match="not audio"):
        read_audio(tmp_path / "a.wav")


@pytest.mark.parametrize("kept", [3, 30, 60, 5000])
def test_a_truncated_wav_is_refused_instead_of_read_in_part(tmp_path: Path, kept: int) -> None:
    (tmp_path / "a.wav").write_bytes(wav_bytes(make_speech(1.0))[:kept])
    with pytest.raises(UserError, match=r"cut off|not audio"):
        read_audio(tmp_path / "a.wav")


def test_a_wav_from_a_pipe_whose_size_is_unknown_is_read() -> None:
    data = bytearray(wav_bytes(make_speech(0.5)))
    data[4:8] = data[40:44] = b"\xff\xff\xff\xff"
    assert read_audio(bytes(data)).seconds == pytest.approx(0.5)


def test_what_cannot_be_opened_gets_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "empty.wav").write_bytes(b"")
    for path, words in (
        (tmp_path, "directory"),
        (tmp_path / "none.wav", "does not exist"),
        ("a\0b", "cannot be opened"),
    ):
        with pytest.raises(UserError, match=words):
            read_audio(path)
    with pytest.raises(UserError, match="empty"):
        read_audio(tmp_path / "empty.wav")

    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "read_bytes", refuse)  # root may read everything, so chmod proves nothing
    with pytest.raises(UserError, match="no permission"):
        read_audio(tmp_path / "empty.wav")


def test_ten_minutes_are_refused_before_they_are_decoded(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "long.flac", np.zeros(600 * 8000, np.float32), 8000)
    with pytest.raises(UserError, match=r"too long \(600 s\)"):
        read_audio(tmp_path / "long.flac")
    assert read_audio(tmp_path / "long.flac", max_seconds=None).seconds == 600


@pytest.mark.parametrize(
    ("audio", "words"),
    [
        (silence(0), "empty"),
        (silence(1), "silent"),
        (Audio(np.full(16000, 0.3, np.float32), 16000), "silent"),  # a constant offset is no sound
        (make_speech(0.05), "too short \\(50 ms\\)"),
        (make_speech(61, 8000), "too long"),
        (Audio(np.array([0.1, np.nan] * 8000, np.float32), 16000), "not numbers"),
        (Audio(np.array([0.1, np.inf] * 8000, np.float32), 16000), "not numbers"),
    ],
)
def test_what_cannot_be_speech_is_refused(audio: Audio, words: str) -> None:
    with pytest.raises(UserError, match=words):
        check_speech(audio)


def test_speech_passes_and_doubtful_recordings_are_remarked(speech: Audio) -> None:
    check_speech(speech)
    assert warnings_of(speech) == ()
    clipped = Audio(np.clip(speech.samples * 20, -1, 1), 16000)
    assert "clipped" in warnings_of(clipped)[0]
    assert "quiet" in warnings_of(Audio(speech.samples * 0.01, 16000))[0]
    assert "8000" in warnings_of(make_speech(1, 8000))[0]


def test_audio_is_mono_float32() -> None:
    assert Audio(np.zeros(3, np.float64), 8000).samples.dtype == np.float32
    with pytest.raises(ValueError, match="mono"):
        Audio(np.zeros((2, 2), np.float32), 8000)
    with pytest.raises(ValueError, match="positive"):
        Audio(np.zeros(2, np.float32), 0)


def test_resampling_keeps_the_length_in_seconds(speech: Audio) -> None:
    assert resample(speech, 16000) is speech
    assert resample(speech, 44100).seconds == pytest.approx(speech.seconds, abs=1e-3)


def test_a_wav_is_written_whole_or_not_at_all(tmp_path: Path, speech: Audio, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "out.wav"
    write_wav(path, speech)
    assert soundfile.info(path).subtype == "PCM_16"
    before = path.read_bytes()

    def fail(self: Path, target: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(UserError, match="No space left"):
        write_wav(path, make_speech(2))
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["out.wav"]


def test_writing_where_one_cannot_gets_a_sentence(tmp_path: Path, speech: Audio) -> None:
    for path in (tmp_path, tmp_path / "none" / "a.wav"):
        with pytest.raises(UserError, match="Cannot write"):
            write_wav(path, speech)
        with pytest.raises(UserError, match="Cannot write"):
            check_writable(path)
    check_writable(tmp_path / "a.wav")


def test_a_device_is_written_to_and_not_replaced(speech: Audio) -> None:
    write_wav("/dev/null", speech)
    assert not Path("/dev/null").is_file()


def test_silence_share_counts_quiet_frames(speech: Audio) -> None:
    assert silence_share(silence(1)) == 1.0
    assert silence_share(silence(0)) == 1.0
    assert silence_share(speech) < 0.1
    assert silence_share(joined(speech, silence(3))) == pytest.approx(0.75, abs=0.05)
    assert len(loudness(speech)) == 50


def test_short_sound_is_one_piece(speech: Audio) -> None:
    assert split_at_pauses(speech, 20) == [(0.0, speech)]


def test_long_sound_is_cut_in_its_pauses() -> None:
    audio = joined(make_speech(3), silence(0.5), make_speech(4), silence(0.6), make_speech(3), silence(2))
    pieces = split_at_pauses(audio, 6.0)
    starts = [start for start, _ in pieces]
    assert starts == pytest.approx([0.0, 3.4, 8.0], abs=0.15)
    assert all(piece.seconds <= 6.0 for _, piece in pieces)
    for start, piece in pieces:  # each piece is the sound that begins there
        first = round(start * 16000)
        assert np.array_equal(piece.samples, audio.samples[first : first + len(piece.samples)])


def test_sound_without_pauses_is_cut_anyway_and_nothing_is_lost() -> None:
    audio = make_speech(10)
    pieces = split_at_pauses(audio, 3.0)
    assert all(0 < piece.seconds <= 3.0 for _, piece in pieces)
    assert sum(len(piece.samples) for _, piece in pieces) == len(audio.samples)


def test_long_silence_around_speech_is_cut_to_its_edges() -> None:
    speech = make_speech(1.0)
    wait = np.zeros(16_000, np.float32)
    waited = Audio(np.concatenate([wait, speech.samples, wait]), 16_000)
    trimmed = trim_silence(waited)
    assert 0.9 < trimmed.seconds < 1.2
    assert np.abs(trimmed.samples).max() == np.abs(speech.samples).max()
    assert np.array_equal(trim_silence(trimmed).samples, trimmed.samples)
    silent = Audio(wait, 16_000)
    assert len(trim_silence(silent).samples) == len(wait)
