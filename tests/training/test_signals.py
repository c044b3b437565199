"""Signals of pairs: each measured, named and versioned; what is missing stays missing; an interruption costs little."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from stsmt.audio import Audio, write_wav
from stsmt.corpus.columns import KNOWN_SIGNALS
from stsmt.corpus.pairs import Utterance, write_pairs
from stsmt.corpus.shards import Shard, read_pairs
from tests.conftest import make_speech
from tests.corpus.pairs import make_pairs
from training import signals
from training.signals import (
    Bench,
    character_error_rate,
    error_rate,
    load_bench,
    loudness_of,
    measure_pairs,
    pair_signals,
)

ERROR_RATES = {f"{side}_{name}" for side in ("source", "target") for name in ("error_rate", "character_error_rate")}
OPTIONAL = {
    f"{side}_{name}" for side in ("source", "target") for name in ("whisper_error_rate", "mos_p808", "mos_p835")
}
OPTIONAL |= {"speaker_similarity"}
MEASURED = {f"{side}_{name}" for side in ("source", "target") for name in signals.SIDED}


@pytest.fixture(scope="module")
def bench(tiny_checkpoint: Path) -> Bench:
    return load_bench(tiny_checkpoint / "codec", None, tiny_checkpoint, "cpu")


def test_every_signal_has_a_name_in_two_languages_and_a_version(bench: Bench) -> None:
    written = {"duration_ratio", "text_ratio", "source_text_repeat_share", "target_text_repeat_share"}
    assert MEASURED | written | {"translation_log_probability"} == set(bench.versions)
    assert {*bench.versions, *ERROR_RATES, *OPTIONAL} == set(KNOWN_SIGNALS)


def test_a_shard_is_measured_and_keeps_what_it_had(bench: Bench, tmp_path: Path) -> None:
    pairs = make_pairs(7)
    write_pairs(tmp_path / "a.parquet", pairs, {"target_error_rate": "own"})
    measure_pairs(str(tmp_path / "a.parquet"), tmp_path / "b.parquet", bench)
    assert Shard(tmp_path / "b.parquet").signals == {"target_error_rate": "own", **bench.versions}
    for before, after in zip(pairs, read_pairs(tmp_path / "b.parquet"), strict=True):
        assert after.target.codes == before.target.codes
        assert after.signals["target_error_rate"] == before.signals["target_error_rate"]
        assert after.signals["duration_ratio"] == pytest.approx(pair_signals(before)["duration_ratio"], rel=1e-2)
        assert (after.signals["translation_log_probability"] or 0) < 0
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_an_interrupted_run_goes_on_where_it_stopped(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "CHUNK", 2)
    write_pairs(tmp_path / "a.parquet", make_pairs(6), {})
    measured: list[int] = []

    def counting(self: Bench, pairs: list) -> list:
        if len(measured) == 2:
            raise KeyboardInterrupt
        measured.append(len(pairs))
        return original(self, pairs)

    original = Bench.measure
    monkeypatch.setattr(Bench, "measure", counting)
    with pytest.raises(KeyboardInterrupt):
        measure_pairs(str(tmp_path / "a.parquet"), tmp_path / "b.parquet", bench)
    assert not (tmp_path / "b.parquet").exists()
    measured.clear()
    measure_pairs(str(tmp_path / "a.parquet"), tmp_path / "b.parquet", bench)
    assert measured == [2]
    assert len(pq.read_table(tmp_path / "b.parquet")) == 6


def test_sides_without_sound_have_no_signals_of_sound(bench: Bench) -> None:
    pair = make_pairs(1)[0]
    silent = replace(pair, target=replace(pair.target, codes=(), seconds=None))
    (row,) = bench.measure([silent])
    assert row["target_loudness"] is row["duration_ratio"] is None
    assert row["source_loudness"] is not None


def test_batches_decode_as_one_by_one_do(bench: Bench) -> None:
    sides = [pair.source for pair in make_pairs(5)]
    together = signals.decode_all(bench.codec, sides, "cpu")
    alone = [signals.decode_all(bench.codec, [side], "cpu")[0] for side in sides]
    for first, second in zip(together, alone, strict=True):
        np.testing.assert_allclose(first.samples, second.samples, atol=1e-5)


def test_error_rates_are_by_word_in_english_and_by_letter_in_japanese() -> None:
    english = Utterance("", "en", reading="where is the station", heard="where is a station")
    japanese = Utterance("", "ja", reading="エキハ", heard="エ キ")
    assert error_rate(english) == 25
    assert error_rate(japanese) == pytest.approx(100 / 3)
    assert character_error_rate(english) == pytest.approx(300 / 17)
    assert error_rate(Utterance("", "en", reading="a")) is None


def test_loudness_is_in_decibels_of_full_scale() -> None:
    tone = np.sin(np.arange(16000) * 0.1).astype(np.float32)
    assert loudness_of(Audio(tone, 16000)) == pytest.approx(-3.01, abs=0.02)
    assert loudness_of(Audio(np.zeros(100, np.float32), 16000)) == -100


def test_recordings_are_measured_but_for_their_codes(bench: Bench, tmp_path: Path) -> None:
    """A folder of recordings; its measured shard in the same folder can be indexed and heard."""
    for i, name in enumerate(("a.wav", "b.wav")):
        write_wav(tmp_path / name, make_speech(1.0 + i, 22050))
    row = {"source_text": "あああああああ", "source_language": "ja", "source_audio": "a.wav"}
    row |= {"target_text": "Where is it?", "target_language": "en", "target_audio": "b.wav"}
    (tmp_path / "metadata.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    measure_pairs(str(tmp_path), tmp_path / "m.parquet", bench)
    (pair,) = read_pairs(tmp_path / "m.parquet")
    assert (pair.source.audio, pair.signals["duration_ratio"]) == (str(tmp_path.resolve() / "a.wav"), 2)
    assert pair.signals["source_loudness"] == pytest.approx(loudness_of(make_speech(1.0, 22050)), abs=0.1)
    assert pair.signals["source_longest_run"] is pair.signals["target_repeat_share"] is None
    assert (pair.signals["source_text_repeat_share"], pair.signals["target_text_repeat_share"]) == (0.75, 0)


def test_a_recording_that_cannot_be_heard_is_missing(bench: Bench, tmp_path: Path) -> None:
    pair = make_pairs(1)[0]
    gone = replace(pair.target, codes=(), audio=str(tmp_path / "gone.wav"))
    (row,) = bench.measure([replace(pair, target=gone)])
    assert row["target_loudness"] is None
    assert row["target_text_repeat_share"] is not None
