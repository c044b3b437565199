"""What a checkpoint folder brings along, and parts of one that do not match; with a tiny real one."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stsmt.errors import UserError
from stsmt.example import Example, Mode, Task
from stsmt.prompt import PromptFormat
from stsmt.requests import Request, Result
from stsmt.translator import Translator
from tests.conftest import make_speech
from tests.test_translator import CHAIN, CODES, STS, TOKENIZER, ScriptedCodec, ScriptedLM, calls
from tests.tiny import CODEBOOK_SIZE, prompt_data, tiny_tokenizer


@pytest.fixture(scope="session")
def tiny(tiny_checkpoint: Path) -> Translator:
    return Translator.load(tiny_checkpoint)


@pytest.mark.parametrize(
    "request_",
    [
        STS,
        replace(STS, mode=Mode.DIRECT, audio=make_speech(1.0, 44100)),
        Request(Task.STT, audio=make_speech(1.0)),
        Request(Task.TTS, text="駅はどこですか。", voice="mei-low"),
        Request(Task.MT, text="Where?"),
    ],
    ids=lambda request: f"{request.task}-{request.mode}",
)
def test_a_tiny_checkpoint_answers_everything(tiny: Translator, request_: Request) -> None:
    result = tiny.run(request_)
    *_, again = tiny.stream(request_)
    assert isinstance(again, Result)
    assert (again.text, again.codes) == (result.text, result.codes)
    assert (result.audio is None) == (request_.task in (Task.STT, Task.MT))
    if result.audio is not None:
        assert len(result.audio.samples) == 320 * len(result.codes) > 0
        assert np.abs(result.audio.samples).max() > 0


def test_a_checkpoint_tells_its_name_revision_and_card(tiny: Translator) -> None:
    assert (tiny.model.name, tiny.model.revision) == ("tiny", "test-0")
    assert "Random weights" in tiny.card


def test_a_checkpoint_may_refer_to_a_codec_elsewhere(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy", ignore=shutil.ignore_patterns("codec")))
    with pytest.raises(UserError, match=r"no checkpoint folder .*codec"):
        Translator.load(folder)
    data = prompt_data() | {"codec": str(tiny_checkpoint / "codec")}
    (folder / "prompt.json").write_text(json.dumps(data))
    assert Translator.load(folder).codec.codebook_size == CODEBOOK_SIZE


@pytest.mark.parametrize("extra", [{"max_source_seconds": "long"}, {"sampling": {"heat": 1}}])
def test_a_prompt_file_with_unusable_options_is_refused(extra: dict[str, Any]) -> None:
    prompt = PromptFormat(prompt_data() | extra, TOKENIZER, CODEBOOK_SIZE)
    with pytest.raises(UserError, match="not usable"):
        Translator(ScriptedLM(), prompt, ScriptedCodec())


def test_a_checkpoint_may_know_better_how_to_sample_and_how_much_it_hears() -> None:
    options = {"max_source_seconds": 6, "sampling": {"temperature": 0.5, "top_k": 7}}
    prompt = PromptFormat(prompt_data() | options, TOKENIZER, CODEBOOK_SIZE)
    translator = Translator(ScriptedLM(CODES), prompt, ScriptedCodec())
    translator.run(Request(Task.TTS, text="Hello."))
    assert (calls(translator)[-1][1].temperature, calls(translator)[-1][1].top_k) == (0.5, 7)
    assert translator.piece_seconds == 6


def test_a_checkpoint_says_what_is_searched_for_and_how_wide() -> None:
    prompt = PromptFormat(prompt_data() | {"beams": {"plan": 5, "translation": 3}}, TOKENIZER, CODEBOOK_SIZE)
    direct, chain = (Example(Task.STS, "ja", "en", mode, "slt", None, (1, 2)) for mode in (Mode.DIRECT, Mode.CHAIN))
    assert {phase.field: phase.beams for phase in prompt.phases(direct)} == {"reading": 5, "speech": 1}
    beams = {"transcript": 1, "translation": 3, "reading": 1, "speech": 1}
    assert {phase.field: phase.beams for phase in prompt.phases(chain)} == beams
    translator = Translator(ScriptedLM(CHAIN[0]), prompt, ScriptedCodec())
    translator.run(Request(Task.MT, text="Hello."))
    assert calls(translator)[-1][1].beams == 3


@pytest.mark.parametrize(
    "beams", [{"plan": "many"}, 3, ["plan"], {"plan": 0}, {"plan": 99}, {"plan": [4]}, {"speech": 4}]
)
def test_beams_that_cannot_be_searched_with_are_refused(beams: Any) -> None:
    with pytest.raises(UserError, match="not usable"):
        PromptFormat(prompt_data() | {"beams": beams}, TOKENIZER, CODEBOOK_SIZE)


def test_parts_that_do_not_match_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from tests.tiny import tiny_lm

    folder = Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))
    tiny_lm(len(TOKENIZER) - 10).save_pretrained(folder)
    with pytest.raises(UserError, match="fewer than its tokenizer"):
        Translator.load(folder)
    tiny_tokenizer(codebook_size=32).save_pretrained(folder)
    with pytest.raises(UserError, match="no token <\\|s_63\\|>"):
        Translator.load(folder)
