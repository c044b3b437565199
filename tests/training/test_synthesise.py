"""What is spoken: each take once, and again what is shipped without sound."""

import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from stsmt.audio import Audio
from stsmt.codec import load_codec
from stsmt.errors import UserError
from stsmt.example import LANGUAGES
from stsmt.settings import ROOT
from tests.conftest import make_speech
from training import synthesise as synthesis
from training.export import restore
from training.phrasebook.grammar import Phrase
from training.speech import key_of, read_rows
from training.synthesise import cast, takes


def test_phrases_of_rare_templates_are_spoken_again_by_other_voices() -> None:
    def phrase(template: str, number: int, split: str = "train") -> Phrase:
        return Phrase(f"{template}-{number}", template, "d", "はい。", "Yes.", split)

    rare, common = [phrase("rare", i) for i in range(3)], [phrase("common", i) for i in range(12)]
    found = takes([*common, *rare, phrase("rare", 9, "dev")], least=12)
    assert Counter(p.template for p, _ in found) == {"common": 12, "rare": 12 + 1}
    assert [take for p, take in found if p.split == "dev"] == [0]
    for language in LANGUAGES:
        voices = cast("rare-0", language, seed=0)
        assert len(set(voices)) == len(voices) and all(v.role != "unseen" for v in voices)


def test_takes_are_spoken_once_also_when_the_command_is_repeated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[tuple[str, str]] = []

    def speak(text: str, language: str, voice: str) -> Audio:
        said.append((text, voice))
        return make_speech(0.5)

    monkeypatch.setattr(synthesis, "speak", speak)
    (tmp_path / "speech").mkdir()
    phrase = Phrase("t-1", "t", "d", "はい。", "Yes.", "train")
    said_lines = [line for number in (0, 1) for line in synthesis.lines((phrase, number), seed=0)]
    made = synthesis.speak_shard((tmp_path / "speech" / "0000.npz", said_lines))
    assert made == 4 and len(set(said)) == 4
    assert synthesis.spoken_takes(tmp_path / "speech") == {("t-1", 0), ("t-1", 1)}
    assert len({key_of(row) for row, _ in read_rows(tmp_path)}) == 4


def test_what_is_shipped_as_codes_is_spoken_again_as_it_was(tmp_path: Path) -> None:
    restore(tmp_path / "run", ROOT / "assets")
    file = tmp_path / "run" / "codes.parquet"
    shipped = pq.read_table(file)
    pq.write_table(shipped.filter(pc.less(pc.list_value_length(shipped["codes"]), 120)).slice(0, 6), file)
    known = pq.read_table(file).to_pylist()
    command = [sys.executable, "-m", "training.synthesise", "--known", "--processes", "1", "--work", file.parent]
    subprocess.run(command, check=True, capture_output=True)
    sounds = {key_of(row): samples for row, samples in read_rows(file.parent)}
    assert sounds.keys() == {key_of(row) for row in known}
    codec = load_codec(file.parent / "codec")
    for row in known:
        codes = codec.encode(Audio(sounds[key_of(row)].astype(np.float32) / 32768, 16_000))
        assert len(codes) == len(row["codes"])
        assert np.mean(np.array(codes) == row["codes"]) > 0.9, "other processors round otherwise, but not so often"
    assert synthesis.known_lines(file.parent) == []


def test_without_codes_nothing_is_known_to_be_spoken(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="export --restore"):
        synthesis.known_lines(tmp_path)
