"""A run goes to another machine in pieces and comes back; the recipe's stages share their minutes."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from stsmt.errors import UserError
from training.budget import Budget
from training.cargo import main, pack, unpack
from training.embedded import SHARES, STAGES, Plan
from training.speech import read_rows
from training.synthesise import spoken_takes

PARTS = ("codes.parquet", "lm", "lm.pt", "cues.parquet")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A run with two shards of speech, codes, a model and a checkpoint."""
    folder = tmp_path / "run"
    (folder / "lm").mkdir(parents=True)
    (folder / "speech").mkdir()
    (folder / "codes.parquet").write_bytes(bytes(range(256)) * 40)
    (folder / "lm" / "config.json").write_text("{}")
    layer = torch.nn.Linear(3, 3)
    Budget(
        folder / "lm.pt",
        minutes=1,
        state={"model": layer, "optimiser": torch.optim.AdamW(layer.parameters())},
        name="t",
    ).save()
    for number in range(2):
        time = np.arange(20_000) / 16_000
        samples = np.round(8000 * np.sin(2 * np.pi * (220 + number) * time)).astype(np.int16)
        np.savez(folder / "speech" / f"{number:04d}.npz", audio=samples)
        rows = [{"phrase": f"p{number}", "language": "en", "offset": 0, "samples": 12_000}]
        (folder / "speech" / f"{number:04d}.json").write_text(json.dumps(rows))
    return folder


def test_what_is_packed_in_small_pieces_comes_back(work: Path, tmp_path: Path) -> None:
    count = pack(work, tmp_path / "cargo", PARTS, speech_bytes=10**6, piece_bytes=4096)
    pieces = sorted((tmp_path / "cargo").glob("cargo.0*"))
    assert len(pieces) == count > 2 and max(piece.stat().st_size for piece in pieces) <= 4096
    unpack(tmp_path / "cargo", tmp_path / "there")
    for name in ("codes.parquet", "lm/config.json", "speech/0001.json"):
        assert (tmp_path / "there" / name).read_bytes() == (work / name).read_bytes()
    for (row, sent), (listed, came) in zip(read_rows(work), read_rows(tmp_path / "there"), strict=True):
        assert row == listed and len(sent) == len(came) == 12_000
        assert np.abs(sent.astype(float) - came).mean() < 0.1 * np.abs(sent.astype(float)).mean()
    # And they are not taken for broken shards.
    assert spoken_takes(tmp_path / "there" / "speech") == {("p0", 0), ("p1", 0)}


def test_a_checkpoint_travels_at_half_the_size_and_training_goes_on_from_it(work: Path, tmp_path: Path) -> None:
    pack(work, tmp_path / "cargo", ["lm.pt"])
    unpack(tmp_path / "cargo", tmp_path / "there")
    layer = torch.nn.Linear(3, 3)
    state = {"model": layer, "optimiser": torch.optim.AdamW(layer.parameters())}
    Budget(tmp_path / "there" / "lm.pt", minutes=1, state=state, name="t")
    sent = torch.load(work / "lm.pt", weights_only=True)["model"]["weight"]
    assert torch.allclose(layer.weight, sent, atol=0.01)


def test_only_as_much_speech_as_was_asked_for_is_packed(work: Path, tmp_path: Path) -> None:
    pack(work, tmp_path / "cargo", PARTS)
    assert not [name for name in unpack(tmp_path / "cargo", tmp_path / "there") if name.startswith("speech")]


def test_a_damaged_piece_is_named_and_nothing_is_written(work: Path, tmp_path: Path) -> None:
    pack(work, tmp_path / "cargo", PARTS, piece_bytes=4096)
    (tmp_path / "cargo" / "cargo.001").write_bytes(b"x")
    with pytest.raises(UserError, match=r"cargo\.001 is missing or damaged"):
        unpack(tmp_path / "cargo", tmp_path / "there")
    assert not (tmp_path / "there").exists()


def test_wrong_folders_get_a_sentence(work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    no, cargo = tmp_path / "no", tmp_path / "cargo"
    for what, run, pieces in (("pack", no, cargo), ("pack", work, work), ("unpack", work, no)):
        with pytest.raises(SystemExit, match=r"^2$"):
            main([what, "--work", str(run), "--out", str(pieces)])
    errors = capsys.readouterr().err.splitlines()
    assert [line.startswith("error: ") for line in errors] == [True] * 3


def plan(**options: object) -> Plan:
    return Plan(Path("w"), Path("a"), minutes=100, device="cpu", phrases=10, **options)  # type: ignore[arg-type]


def test_all_stages_share_all_minutes() -> None:
    stages = plan().stages()
    assert tuple(stage.name for stage in stages) == STAGES
    lm = next(stage.arguments for stage in stages if stage.name == "lm")
    assert lm[lm.index("--minutes") + 1] == f"{100 * SHARES['lm']:.1f}"


def test_named_stages_get_all_the_minutes() -> None:
    stages = plan(only=("lm", "decoder"), warm=True).stages()
    assert [stage.name for stage in stages] == ["lm", "decoder"]
    (lm, decoder) = (stage.arguments for stage in stages)
    minutes = float(lm[lm.index("--minutes") + 1]) + float(decoder[decoder.index("--decoder") + 1])
    assert minutes == pytest.approx(100, abs=0.2) and "--skip" in lm


def test_minutes_can_begin_again_from_a_checkpoint_at_a_lower_rate(tmp_path: Path) -> None:
    state = {"layer": torch.nn.Linear(2, 2)}
    spent = Budget(tmp_path / "b.pt", minutes=1, state=state, name="t")
    spent.seconds, spent.step = 60.0, 9
    spent.save()
    assert Budget(tmp_path / "b.pt", minutes=1, state=state, name="t").progress == 1
    again = Budget(tmp_path / "b.pt", minutes=1, state=state, name="t", again=True, peak=0.5)
    assert (again.progress, again.step) == (0, 9)
    again.seconds = 6.0
    assert 0.45 < again.rate < 0.5
