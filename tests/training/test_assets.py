"""The table of assets: right in this tree, and rebuilt rightly."""

from pathlib import Path

import pytest

from stsmt.errors import UserError
from training import assets
from training.assets import Origin, asset_files, main, origin_of, table, with_table


def test_the_table_of_this_tree_is_right() -> None:
    assert main(["--check"]) == 0, "run `make assets`"


def test_all_assets_together_stay_under_the_cap() -> None:
    assert sum(path.stat().st_size for path in asset_files(assets.ROOT / "assets")) <= assets.MAX_TOTAL_BYTES


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "one.wav").write_bytes(b"abc")
    (tmp_path / "README.md").write_text(f"# A\n{assets.OPENING}\nold\n{assets.CLOSING}\nend\n", encoding="utf-8")
    return tmp_path


def test_rewriting_lists_every_file_and_keeps_the_words_around(folder: Path) -> None:
    assert main(["--check"], folder) == 1
    assert main([], folder) == 0
    page = (folder / "README.md").read_text(encoding="utf-8")
    assert page.startswith("# A\n") and page.endswith("\nend\n") and "old" not in page
    assert "| examples/one.wav | 3 |" in page
    assert "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" in page
    assert main(["--check"], folder) == 0


def test_a_changed_file_is_noticed(folder: Path) -> None:
    main([], folder)
    (folder / "examples" / "one.wav").write_bytes(b"abd")
    assert main(["--check"], folder) == 1


def test_a_file_of_unknown_origin_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "found.bin").write_bytes(b"?")
    with pytest.raises(SystemExit, match=r"^2$"):
        main([], folder)
    assert "found.bin has no origin" in capsys.readouterr().err


def test_the_longest_prefix_speaks() -> None:
    origins = (Origin("a/", "far", "x"), Origin("a/b/", "near", "y"))
    assert origin_of("a/b/c", origins).origin == "near"
    assert origin_of("a/c", origins).origin == "far"


def test_too_many_bytes_are_refused(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(assets, "MAX_TOTAL_BYTES", 2)
    with pytest.raises(UserError, match="3 bytes"):
        table(folder)


def test_lost_markers_are_named() -> None:
    with pytest.raises(UserError, match="markers"):
        with_table("nothing", "new")
