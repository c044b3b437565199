"""Frames are divided among phones in order."""

import random
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stsmt.errors import UserError
from tests.tiny import CODEBOOK_SIZE, tiny_codec
from training.align import align, best_path, find_cues, train_aligner
from training.pack import cues_of, read_aligned

LENGTHS = {"a": 4, "i": 7, "u": 2, "sil": 3}


def spoken_rows(count: int, seed: int) -> list[dict[str, Any]]:
    """Utterances whose phones each have codes of their own, at known lengths give or take one frame."""
    rng, rows = random.Random(seed), []
    for number in range(count):
        phones = [rng.choice("aiu") for _ in range(rng.randrange(3, 7))]
        phones = [p for i, p in enumerate(phones) if i == 0 or p != phones[i - 1]]  # two of one sound like one
        codes, starts = [], []
        for name in ("sil", *phones, "sil"):
            starts.append(len(codes))
            length = LENGTHS[name] + rng.randrange(-1, 2)
            codes += [10 * list(LENGTHS).index(name) + rng.randrange(5) for _ in range(max(1, length))]
        rows.append(
            {"phrase": f"p{number}", "language": "ja", "voice": "mei", "phones": " ".join(phones), "codes": codes}
            | {"true": [0, *starts[1:-1]], "split": "train"}
        )
    return rows


def test_the_best_path_gives_every_label_a_frame_in_order() -> None:
    scores = np.log(np.array([[0.9, 0.05, 0.05], [0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.05, 0.05, 0.9]]))
    assert best_path(scores) == [0, 1, 2]
    assert best_path(scores[:, :2]) == [0, 2]
    assert best_path(np.zeros((3, 3))) == [0, 1, 2]


def test_cues_are_found_where_phones_begin() -> None:
    rows = spoken_rows(60, seed=0)
    model, index = train_aligner(rows, CODEBOOK_SIZE, steps=60, seed=0)
    unheard = spoken_rows(20, seed=1)
    off = [
        abs(found - true)
        for row in unheard
        for found, true in zip(find_cues(model, index, row) or [], row["true"], strict=True)
    ]
    assert sum(off) / len(off) < 1  # frame


def test_an_utterance_with_more_phones_than_frames_has_no_cues() -> None:
    rows = spoken_rows(10, seed=2)
    model, index = train_aligner(rows, CODEBOOK_SIZE, steps=1, seed=0)
    assert find_cues(model, index, rows[0] | {"codes": [1, 2]}) is None


def test_the_stage_writes_cues_that_training_reads(tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "true"} for row in spoken_rows(8, seed=3)]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "codes.parquet")
    tiny_codec().save_pretrained(tmp_path / "codec")
    with pytest.raises(UserError, match=r"training\.align"):
        read_aligned(tmp_path, "train")
    align(tmp_path, steps=2, seed=0)
    pq.write_table(pa.Table.from_pylist([*rows, rows[0] | {"phrase": "later"}]), tmp_path / "codes.parquet")
    with pytest.raises(UserError, match="older than the codes"):
        read_aligned(tmp_path, "train")
    align(tmp_path, steps=2, seed=0)
    for row in read_aligned(tmp_path, "train"):
        names = [name for _, name in cues_of(row)]
        assert names == [*(f"ja:{phone}" for phone in row["phones"].split()), "sil"]
        places = [place for place, _ in cues_of(row)]
        assert places[0] == 0 and places == sorted(places) and places[-1] < len(row["codes"])
