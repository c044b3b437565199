"""What the browser tests and the screenshot share: which model, which clips, which Chromium."""

import json
import shutil
from pathlib import Path

from stsmt.audio import write_wav
from stsmt.settings import BUNDLED_MODEL, ROOT
from tests.conftest import make_speech

EXAMPLES = ROOT / "assets" / "examples"
MEL = "figure.mel"
HEALTH = "ul.health"


def bundled() -> bool:
    """Whether the trained checkpoint is there; else tests run on random weights."""
    return (BUNDLED_MODEL / "model.safetensors").is_file()


def example_folder(spare: Path) -> Path:
    """The bundled clips, or some made up in `spare`."""
    if (EXAMPLES / "examples.json").is_file():
        return EXAMPLES
    rows = [("ja.wav", "ja", "駅はどこですか。"), ("en.wav", "en", "Where is the station?")]
    for i, (file, _, _) in enumerate(rows):
        write_wav(spare / file, make_speech(1.5, seed=i))
    listing = [dict(zip(("file", "language", "text"), row, strict=True)) for row in rows]
    (spare / "examples.json").write_text(json.dumps(listing), encoding="utf-8")
    return spare


def chromium() -> str | None:
    """Debian's browser, by whatever name it has."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


def flags(microphone: Path) -> list[str]:
    """Chromium without a sandbox (containers) and with a file for a microphone."""
    return [
        "--no-sandbox",
        "--use-fake-ui-for-media-stream",
        "--use-fake-device-for-media-stream",
        f"--use-file-for-fake-audio-capture={microphone.resolve()}",
    ]
