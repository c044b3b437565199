"""The average of two language models lies between them, and models that do not match are refused."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import Lfm2ForCausalLM

from stsmt.errors import UserError
from tests.tiny import tiny_lm
from training.average import WEIGHTS, average


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run folder whose model started from the one in `start`."""
    tiny_lm(100, seed=1).to(torch.bfloat16).save_pretrained(tmp_path / "start")
    tiny_lm(100, seed=2).to(torch.bfloat16).save_pretrained(tmp_path / "run" / "lm")
    return tmp_path


def command(run: Path, *options: str) -> "subprocess.CompletedProcess[str]":
    arguments = ["--work", str(run / "run"), "--start", str(run / "start"), *options]
    return subprocess.run(
        [sys.executable, "-m", "training.average", *arguments], capture_output=True, text=True, check=False
    )


def test_a_quarter_of_the_way_is_nearer_to_the_start_and_still_loads(run: Path) -> None:
    start, end = load_file(run / "start" / WEIGHTS), load_file(run / "run" / "lm" / WEIGHTS)
    assert command(run, "--share", "0.25").returncode == 0
    made = load_file(run / "run" / "lm" / WEIGHTS)
    for name, weight in made.items():
        assert weight.dtype == torch.bfloat16
        wanted = 0.75 * start[name].float() + 0.25 * end[name].float()
        torch.testing.assert_close(weight.float(), wanted, atol=1e-2, rtol=1e-2)
    assert Lfm2ForCausalLM.from_pretrained(run / "run" / "lm").config.vocab_size == 100


def test_both_ends_are_kept(run: Path) -> None:
    start, end = load_file(run / "start" / WEIGHTS), load_file(run / "run" / "lm" / WEIGHTS)
    for share, wanted in ((0.0, start), (1.0, end)):
        assert all(torch.equal(made, wanted[name]) for name, made in average(start, end, share).items())


def test_models_of_different_sizes_are_refused(run: Path) -> None:
    start = load_file(run / "start" / WEIGHTS)
    other = dict(tiny_lm(90).to(torch.bfloat16).state_dict())
    with pytest.raises(UserError, match="not of the same size"):
        average(start, other, 0.5)


def test_an_average_is_not_averaged_again_and_stays_as_it_is(run: Path) -> None:
    assert command(run).returncode == 0
    made = (run / "run" / "lm" / WEIGHTS).read_bytes()
    again = command(run)
    assert again.returncode == 2 and "is an average already" in again.stderr
    assert (run / "run" / "lm" / WEIGHTS).read_bytes() == made


def test_broken_weights_are_refused_in_one_line(run: Path) -> None:
    file = run / "start" / WEIGHTS
    file.write_bytes(file.read_bytes()[:500])
    broken = command(run)
    assert broken.returncode == 2 and "is broken" in broken.stderr and broken.stderr.count("\n") == 1


def test_a_missing_model_and_a_share_beyond_are_refused_in_one_line(run: Path) -> None:
    beyond = command(run, "--share", "1.5")
    shutil.rmtree(run / "start")
    missing = command(run)
    for ended, words in ((beyond, "between 0 and 1"), (missing, "There is no")):
        assert ended.returncode == 2 and words in ended.stderr and ended.stderr.count("\n") == 1
