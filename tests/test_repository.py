"""Promises of the repository as a whole."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def front_matter() -> dict[str, str]:
    _, head, _ = README.split("---\n", 2)
    pairs = (line.split(":", 1) for line in head.splitlines() if ":" in line)
    return {key.strip(): value.strip().strip('"') for key, value in pairs}


def test_a_space_installs_what_the_project_needs() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    assert [line for line in lines if line and not line.startswith("#")] == PROJECT["dependencies"]


def test_the_space_runs_the_gradio_that_is_pinned() -> None:
    pinned = next(line for line in PROJECT["dependencies"] if line.startswith("gradio=="))
    assert front_matter()["sdk_version"] == pinned.removeprefix("gradio==")


def test_the_space_is_described() -> None:
    found = front_matter()
    assert found["sdk"] == "gradio" and found["app_file"] == "app.py" and found["license"] == "apache-2.0"
    assert len(found["short_description"]) <= 60  # the Hub's limit


def test_the_version_is_the_same_everywhere() -> None:
    assert f'__version__ = "{PROJECT["version"]}"' in (ROOT / "stsmt/__init__.py").read_text(encoding="utf-8")
    assert f"## {PROJECT['version']}" in (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")


def test_the_map_names_every_room() -> None:
    rooms = [path for path in (ROOT / "stsmt").iterdir() if not path.name.startswith("_")]
    rooms += [path for path in (ROOT / "training").glob("*.py") if not path.name.startswith("_")]
    file_map = README.split("## The map")[1]
    missing = [path.name for path in rooms if not re.search(rf"\b{re.escape(path.name)}\b", file_map)]
    assert not missing, f"README.md's map lacks {missing}"


def test_every_make_target_of_the_readme_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`make ([a-z0-9-]+)", README)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.skipif(not (ROOT / ".git").exists() or shutil.which("git") is None, reason="not a git checkout")
def test_large_files_lie_only_under_assets() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    paths = (ROOT / name for name in listed.split("\0") if name and not name.startswith("assets/"))
    assert not [path for path in paths if path.is_file() and path.stat().st_size >= 2_000_000]
