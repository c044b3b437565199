"""The encoder is refined for a decoder that stays as it is."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import Xcodec2Config, Xcodec2Model

from stsmt.errors import UserError
from tests.training.corpus import make_spoken
from training import codec as codec_training
from training.encoder import ENCODER, WHOLE, Schedule, label_frames, polish, refine
from training.pack import IGNORE
from training.speech import Spoken


def small_config() -> Xcodec2Config:
    return codec_training.codec_config(hidden=64, layers=1, semantic=32, semantic_layers=1, levels=3)


@pytest.fixture
def corpus() -> list[Spoken]:
    return [replace(spoken, phrase=f"p{number}") for number, spoken in enumerate(make_spoken(16))]


def write_run(work: Path, corpus: list[Spoken], *, stretch: float = 1.0) -> None:
    """Codes and cues for `corpus`: its three phones begin at a quarter, a half and three quarters of an utterance."""
    fields = ("phrase", "template", "language", "voice", "text", "split")
    rows: list[dict[str, Any]] = []
    for spoken in corpus:
        codes = [1] * round(spoken.frames * stretch)
        cues = [0, *(len(codes) * part // 4 for part in (1, 2, 3))]
        names = {field: getattr(spoken, field) for field in fields}
        rows.append(names | {"phones": "a i u", "codes": codes, "augmented": None, "cues": cues})
    table = pa.Table.from_pylist(rows)
    pq.write_table(table.drop_columns("cues"), work / "codes.parquet")
    pq.write_table(table.select(["phrase", "language", "voice", "cues"]), work / "cues.parquet")


def read_weights(folder: Path) -> dict[str, torch.Tensor]:
    return Xcodec2Model.from_pretrained(folder, dtype=torch.float32).state_dict()


def differing(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, tensor in one.items() if not torch.equal(tensor, other[name])}


def test_refining_changes_which_codes_are_chosen_and_not_how_they_sound(tmp_path: Path, corpus: list[Spoken]) -> None:
    before = codec_training.save_codec(codec_training.JointCodec(small_config(), 4, seed=0).codec, tmp_path)
    write_run(tmp_path, corpus)
    refine(tmp_path, corpus, Schedule(minutes=0.002), seed=0, device="cpu")
    again = Schedule(minutes=0.03, again=True, peak=1.0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.encoder.HEADS_ALONE", 0)
        refine(tmp_path, corpus, again, seed=0, device="cpu")
    after = Xcodec2Model.from_pretrained(tmp_path / "codec", dtype=torch.float32).eval()
    same = {name for name, tensor in after.state_dict().items() if torch.equal(tensor, before.state_dict()[name])}
    assert {name for name in after.state_dict() if not name.startswith(ENCODER)} <= same
    for part in ENCODER:
        assert any(name.startswith(part) and name not in same for name in after.state_dict()), part
    codes = torch.arange(64)[None, None]
    assert torch.equal(after.decode(codes).audio_values, before.decode(codes).audio_values)


def test_the_whole_codec_learns_and_polishing_keeps_what_it_was(
    tmp_path: Path, corpus: list[Spoken], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = codec_training.save_codec(codec_training.JointCodec(small_config(), 4, seed=0).codec, tmp_path)
    write_run(tmp_path, corpus)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.encoder.HEADS_ALONE", 0)
        (tmp_path / codec_training.DECODER_FILE).write_text("of the decoder as it was")
        refine(tmp_path, corpus, Schedule(minutes=0.03, peak=1.0, whole=True), seed=0, device="cpu")
    whole = Xcodec2Model.from_pretrained(tmp_path / "codec", dtype=torch.float32)
    changed = {
        name for name, tensor in whole.state_dict().items() if not torch.equal(tensor, before.state_dict()[name])
    }
    for part in WHOLE:
        assert any(name.startswith(part) for name in changed), part
    monkeypatch.setattr("training.understanding.HEAD_STEPS", 1)
    monkeypatch.setattr("training.understanding.EAR_STEPS", 1)
    polish(tmp_path, corpus, 0.002, 4, seed=0, device="cpu")
    kept = Xcodec2Model.from_pretrained(tmp_path / "codec-plain", dtype=torch.float32).state_dict()
    assert all(torch.equal(tensor, kept[name]) for name, tensor in whole.state_dict().items())
    polished = Xcodec2Model.from_pretrained(tmp_path / "codec", dtype=torch.float32).state_dict()
    assert {n.split(".")[0] for n, tensor in polished.items() if not torch.equal(tensor, kept[n])} == {
        "acoustic_decoder"
    }


def test_every_frame_has_the_label_of_its_phone_also_in_a_slower_copy(tmp_path: Path, corpus: list[Spoken]) -> None:
    write_run(tmp_path, corpus, stretch=0.5)
    labelled, count = label_frames(tmp_path, corpus)
    usable = [spoken for spoken in corpus if spoken.frames > codec_training.CROP_FRAMES]
    assert [item.spoken for item in labelled] == usable and count == 3 * 2 + 1  # of each language, and silence
    for item in labelled:
        labels = item.labels.numpy()
        assert len(labels) == item.frames and (labels != IGNORE).all()
        changes = np.flatnonzero(np.diff(labels)) + 1
        assert np.abs(changes - item.frames * np.array([1, 2, 3]) / 4).max() <= 3


def test_speech_without_known_phones_is_refused(tmp_path: Path, corpus: list[Spoken]) -> None:
    codec_training.save_codec(codec_training.JointCodec(small_config(), 4, seed=0).codec, tmp_path)
    write_run(tmp_path, corpus)
    strangers = [replace(spoken, phrase="stranger") for spoken in corpus]
    with pytest.raises(UserError, match="known phones"):
        refine(tmp_path, strangers, Schedule(minutes=0.001), seed=0, device="cpu")
