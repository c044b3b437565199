"""The command line: one JSON document, one line on bad input, nothing half-written, never a traceback for it."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from stsmt.audio import wav_bytes
from stsmt.cli import main
from tests.conftest import make_speech

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(
    tiny_checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """Run in an empty folder; returns exit status, standard output, standard error."""
    monkeypatch.setenv("STSMT_MODEL", str(tiny_checkpoint))
    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        status = main(arguments)
        return status, *capsys.readouterr()

    return call


def write(path: Path, samples: np.ndarray, rate: int = 16000, **options: str) -> str:
    soundfile.write(path, samples, rate, **options)
    return str(path)


# -- what works ------------------------------------------------------------------------------------------------------


def test_translate_writes_a_wav_and_one_json_document(run: Run, speech_wav: Path, tmp_path: Path) -> None:
    status, out, err = run("translate", str(speech_wav), "--mode", "direct", "-o", "out.wav", "--json")
    assert (status, err) == (0, "")
    document = json.loads(out)
    assert document["audio"]["path"] == "out.wav"
    assert document["model"] == {"name": "tiny", "revision": "test-0"}
    samples, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == document["audio"]["sample_rate"]
    assert len(samples) / rate == pytest.approx(document["audio"]["seconds"], abs=1e-3)


def test_the_same_seed_gives_the_same_file(run: Run, tmp_path: Path) -> None:
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        assert run("speak", "Hello.", "--seed", seed, "-o", f"{name}.wav")[0] == 0
    a, b, c = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert a == b != c


def test_transcribe_prints_the_text(run: Run, speech_wav: Path) -> None:
    status, out, _ = run("transcribe", str(speech_wav), "--language", "ja")
    assert status == 0 and out.strip()
    status, out, _ = run("transcribe", str(speech_wav), "--json")
    document = json.loads(out)
    assert document["task"] == "STT" and document["audio"] is None


def test_sound_that_is_not_kept_is_said(run: Run, tmp_path: Path) -> None:
    status, out, err = run("speak", "Hello.")
    assert (status, out) == (0, "")
    assert "give -o" in err
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("rate", [8000, 44100, 96000])
def test_any_rate_goes_in(run: Run, tmp_path: Path, rate: int) -> None:
    samples = np.repeat(make_speech(0.5, rate).samples[:, None], 8, axis=1)
    status, out, _ = run("translate", write(tmp_path / "a.wav", samples, rate), "--mode", "direct", "--json")
    assert status == 0
    assert bool(json.loads(out)["warnings"]) == (rate == 8000)


@pytest.mark.parametrize("suffix", ["mp3", "flac", "ogg"])
def test_any_format_goes_in(run: Run, tmp_path: Path, suffix: str) -> None:
    path = write(tmp_path / f"a.{suffix}", make_speech(0.6).samples)
    assert run("translate", path, "--mode", "direct", "--json")[0] == 0


def test_clipped_sound_is_answered_with_a_warning(run: Run, tmp_path: Path) -> None:
    path = write(tmp_path / "a.wav", np.clip(make_speech(0.6).samples * 30, -1, 1))
    _, out, _ = run("translate", path, "--mode", "direct", "--json")
    assert "clipped" in json.loads(out)["warnings"][0]


def test_the_process_reads_standard_input_and_writes_sound_to_standard_output(tiny_checkpoint: Path) -> None:
    command = [sys.executable, "-m", "stsmt", "translate", "-", "--mode", "direct", "-o", "-"]
    environment = os.environ | {"STSMT_MODEL": str(tiny_checkpoint)}
    data = wav_bytes(make_speech(0.5))
    done = subprocess.run(command, input=data, capture_output=True, env=environment, timeout=6000, check=True)
    assert soundfile.info(io.BytesIO(done.stdout)).samplerate == 16000


def test_help_is_light_and_teaches() -> None:
    code = (
        "import sys, stsmt.cli, stsmt.translator\n"
        "assert not {'torch', 'transformers', 'gradio'} & set(sys.modules), 'heavy import'\n"
        "stsmt.cli.main(['--help'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    for verb in ("translate", "speak", "transcribe", "serve", "examples:"):
        assert verb in done.stdout


# -- bad input -------------------------------------------------------------------------------------------------------


def float_wav(path: Path, value: float) -> str:
    samples = make_speech(1.0).samples.copy()
    samples[100] = value
    return write(path, samples, subtype="FLOAT")


def truncated(path: Path) -> str:
    path.write_bytes(wav_bytes(make_speech(1.0))[:9000])
    return str(path)


def text_file(path: Path) -> str:
    path.write_text("not a sound\n" * 50)
    return str(path)


def empty_file(path: Path) -> str:
    path.touch()
    return str(path)


BAD_FILES: dict[str, tuple[Callable[[Path], str], str]] = {
    "empty file": (empty_file, "empty"),
    "no samples": (lambda path: write(path, np.zeros(0)), "empty"),
    "silent": (lambda path: write(path, np.zeros(16000)), "silent"),
    "50 ms": (lambda path: write(path, make_speech(0.05).samples), "too short"),
    "10 min": (lambda path: write(path, make_speech(600, 8000).samples, 8000), "too long"),
    "NaN": (lambda path: float_wav(path, np.nan), "not numbers"),
    "Inf": (lambda path: float_wav(path, np.inf), "not numbers"),
    "text": (text_file, "not audio"),
    "truncated": (truncated, "cut off"),
    "directory": (lambda path: str(path.parent), "directory"),
    "missing": (str, "does not exist"),
}
BAD_ARGUMENTS: list[tuple[list[str], str]] = [
    ([], "required: VERB"),
    (["fly"], "invalid choice: 'fly'"),
    (["speak"], "required: TEXT"),
    (["speak", ""], "empty"),
    (["speak", "a" * 10_000], "too long"),
    (["speak", "🎉🎉"], "no words"),
    (["speak", "ding\x07"], "control characters"),
    (["speak", "\udcff\udcfe"], "control characters"),
    (["speak", "Hello", "--language", "ja"], "looks English"),
    (["speak", "Hello", "--language", "fr"], "invalid choice: 'fr'"),
    (["speak", "Hello", "--voice", "bob"], "Unknown voice"),
    (["speak", "Hello", "--voice", "mei"], "speaks Japanese"),
    (["speak", "Hello", "--seed", "-1"], "seed must be"),
    (["speak", "Hello", "--seed", "x"], "whole number"),
    (["speak", "Hello", "--seed", "9" * 30], "seed must be"),
    (["speak", "Hello", "--engine", "magic"], "Unknown engine"),
    (["speak", "Hello", "--model", "nowhere"], "no checkpoint folder nowhere"),
    (["speak", "Hello", "-o", "none/out.wav"], "folder does not exist"),
    (["speak", "Hello", "-o", "."], "directory"),
    (["speak", "Hello", "-o", "-", "--json"], "cannot both"),
    (["translate", "speech.wav", "--mode", "magic"], "invalid choice: 'magic'"),
    (["translate", "speech.wav", "--to", "fr"], "invalid choice: 'fr'"),
    (["serve", "--port", "http"], "port must be"),
    (["serve", "--port", "70000"], "port must be"),
    (["serve", "--model", "nowhere", "--port", "0"], "no checkpoint folder nowhere"),
]


def refused(outcome: tuple[int, str, str], words: str, folder: Path, before: set[str]) -> None:
    """Exit status 2, one line on standard error, nothing on standard output or left behind."""
    status, out, err = outcome
    assert status == 2 and out == ""
    assert err.startswith("error: ") and err.count("\n") == 1 and words in err
    assert set(os.listdir(folder)) == before


@pytest.mark.parametrize("kind", BAD_FILES)
@pytest.mark.parametrize("verb", ["translate", "transcribe"])
def test_a_bad_recording_gets_one_line(run: Run, tmp_path: Path, verb: str, kind: str) -> None:
    make, words = BAD_FILES[kind]
    path = make(tmp_path / "a.wav")
    output = ["-o", "out.wav"] if verb == "translate" else []
    refused(run(verb, path, *output), words, tmp_path, set(os.listdir(tmp_path)))


@pytest.mark.parametrize(("arguments", "words"), BAD_ARGUMENTS, ids=lambda value: str(value)[:40])
def test_bad_arguments_get_one_line(
    run: Run, speech_wav: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    refused(run(*arguments), words, tmp_path, {"speech.wav"})


def test_a_port_that_is_taken_gets_one_line(run: Run, speech_wav: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = str(other.getsockname()[1])
        refused(run("serve", "--port", taken), f"port {taken}: Address already in use", tmp_path, {"speech.wav"})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read and write everything")
def test_files_without_permission_get_one_line(run: Run, speech_wav: Path, tmp_path: Path) -> None:
    speech_wav.chmod(0)
    refused(run("transcribe", str(speech_wav)), "no permission", tmp_path, {"speech.wav"})
    tmp_path.chmod(0o500)
    refused(run("speak", "Hello", "-o", "out.wav"), "no permission", tmp_path, {"speech.wav"})


def test_permission_errors_get_one_line_even_for_root(
    run: Run, speech_wav: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_bytes", refuse)
        outcome = run("transcribe", str(speech_wav))
    refused(outcome, "no permission", tmp_path, {"speech.wav"})
    monkeypatch.setattr(os, "access", lambda *_: False)
    refused(run("speak", "Hello", "-o", "out.wav"), "no permission", tmp_path, {"speech.wav"})


def spoil(folder: Path, kind: str) -> None:
    if kind == "half-written":
        weights = folder / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[: weights.stat().st_size // 2])
    elif kind == "without weights":
        (folder / "model.safetensors").unlink()
    elif kind == "without prompt":
        (folder / "prompt.json").unlink()
    elif kind == "without codec":
        shutil.rmtree(folder / "codec")
    elif kind == "without tokenizer":
        (folder / "tokenizer.json").unlink()
    elif kind == "other architecture":
        config = json.loads((folder / "config.json").read_text())
        (folder / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    elif kind == "other codec":
        from tests.tiny import tiny_tokenizer

        tiny_tokenizer(codebook_size=32).save_pretrained(folder)
    else:
        (folder / "config.json").unlink()


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("half-written", "cannot be loaded"),
        ("without weights", "cannot be loaded"),
        ("without prompt", "No prompt.json"),
        ("without codec", "no checkpoint folder"),
        ("without tokenizer", "okenizer"),
        ("other architecture", "'lfm2' is needed"),
        ("other codec", "no token <|s_63|>"),
        ("without config", "config.json is missing"),
    ],
)
def test_a_bad_checkpoint_gets_one_line(run: Run, tiny_checkpoint: Path, tmp_path: Path, kind: str, words: str) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "model"))
    spoil(folder, kind)
    refused(run("speak", "Hello", "--model", str(folder), "-o", "out.wav"), words, tmp_path, {"model"})


def test_our_own_fault_is_status_1(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("stsmt.translator.Translator.load", fail)
    status, out, err = run("speak", "Hello")
    assert status == 1 and out == ""
    assert "ZeroDivisionError" in err and err.splitlines()[-1].startswith("error: ")
