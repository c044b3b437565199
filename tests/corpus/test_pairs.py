"""Shards: what is written is read, and what is wrong with one is said in a sentence."""

import math
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stsmt.corpus.pairs import HIDDEN, pair_id, pairs_table, split_of, write_pairs, write_table
from stsmt.corpus.shards import Shard, read_pairs
from stsmt.errors import UserError
from tests.corpus.pairs import VERSIONS, make_pair, make_pairs


def refused(table: pa.Table, folder: Path) -> str:
    """The sentence with which a shard is refused."""
    pq.write_table(table, folder / "bad.parquet")
    with pytest.raises(UserError) as caught:
        list(Shard(folder / "bad.parquet").batches())
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pairs_come_back_as_they_were_written(tmp_path: Path) -> None:
    pairs = make_pairs(30)
    write_pairs(tmp_path / "a.parquet", pairs, VERSIONS)
    assert read_pairs(tmp_path / "a.parquet") == pairs
    assert Shard(tmp_path / "a.parquet").signals == VERSIONS
    assert pq.read_schema(tmp_path / "a.parquet").field("source_codes").type == pa.list_(pa.uint16())


def test_large_codebooks_take_32_bits(tmp_path: Path) -> None:
    pair = make_pair()
    large = replace(pair, target=replace(pair.target, codes=(70_000, 1)))
    write_pairs(tmp_path / "a.parquet", [large], VERSIONS)
    assert read_pairs(tmp_path / "a.parquet")[0].target.codes == (70_000, 1)


def test_an_id_depends_on_texts_voices_and_sound_only() -> None:
    pair = make_pair()
    assert pair.id == pair_id(replace(pair.source, seconds=9.0, heard="x"), pair.target)
    for change in ({"text": "別の文"}, {"voice": "other"}, {"codes": (1, 2)}):
        assert pair.id != pair_id(replace(pair.source, **change), pair.target)  # type: ignore[arg-type]


def test_a_split_depends_on_the_source_sentence_only() -> None:
    assert split_of("駅はどこですか。") == split_of(" 駅はどこですか。 ")
    splits = [split_of(f"{i}番の駅はどこですか。") for i in range(2000)]
    assert 20 <= splits.count("dev") <= 110
    assert 50 <= splits.count("test") <= 160


def test_the_least_that_a_shard_needs_is_four_columns(tmp_path: Path) -> None:
    columns = {"source_text": ["駅"], "source_language": ["ja"], "target_text": ["Station"], "target_language": ["en"]}
    pq.write_table(pa.table(columns), tmp_path / "a.parquet")
    pair = read_pairs(tmp_path / "a.parquet")[0]
    assert (pair.source.codes, pair.source.voice, pair.split) == ((), None, split_of("駅"))
    assert pair.id == pair_id(pair.source, pair.target)


def test_a_missing_column_is_named(tmp_path: Path) -> None:
    assert "lacks the column target_text" in refused(
        pa.table({"source_text": ["a"], "source_language": ["ja"]}), tmp_path
    )


def test_a_column_of_the_wrong_type_is_named(tmp_path: Path) -> None:
    table = pairs_table([make_pair()], VERSIONS)
    for name, wrong in (
        ("source_text", pa.array([1])),
        ("target_codes", pa.array(["12 13"])),
        ("split", pa.array([1.5])),
    ):
        place = table.column_names.index(name)
        assert f"The column {name}" in refused(table.set_column(place, name, wrong), tmp_path)


def test_codes_that_are_no_codes_are_refused(tmp_path: Path) -> None:
    table = pairs_table([make_pair()], VERSIONS)
    place = table.column_names.index("source_codes")
    for wrong in ([-1, 3], [3, None]):
        assert "source_codes" in refused(table.set_column(place, "source_codes", pa.array([wrong])), tmp_path)


@pytest.mark.parametrize("keep", [0, 4, 100, -200])
def test_a_damaged_file_gets_a_sentence(tmp_path: Path, keep: int) -> None:
    write_pairs(tmp_path / "a.parquet", make_pairs(30), VERSIONS)
    whole = (tmp_path / "a.parquet").read_bytes()
    (tmp_path / "a.parquet").write_bytes(whole[:keep])
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        list(Shard(tmp_path / "a.parquet").batches())


def test_damage_inside_a_file_gets_a_sentence_or_is_read(tmp_path: Path) -> None:
    write_pairs(tmp_path / "a.parquet", make_pairs(30), VERSIONS)
    whole = (tmp_path / "a.parquet").read_bytes()
    for place in range(10, len(whole) // 2, len(whole) // 40):
        (tmp_path / "b.parquet").write_bytes(whole[:place] + b"\xff" * 20 + whole[place + 20 :])
        try:
            list(Shard(tmp_path / "b.parquet").batches())
        except UserError as error:
            assert "\n" not in str(error)


def test_numbers_that_are_none_are_missing_and_counted(tmp_path: Path) -> None:
    table = pairs_table(make_pairs(3), VERSIONS)
    place = table.column_names.index("duration_ratio")
    table = table.set_column(place, "duration_ratio", pa.array([math.nan, math.inf, 1.0]))
    write_table(tmp_path / "a.parquet", table)
    (batch,) = Shard(tmp_path / "a.parquet").batches()
    assert batch.not_numbers == 2
    assert batch.table["duration_ratio"].to_pylist() == [None, None, 1.0]


def test_rows_without_text_or_language_are_left_out_and_counted(tmp_path: Path) -> None:
    table = pairs_table(make_pairs(4), VERSIONS)
    for name, values in (("source_text", [None, "a", "b", "c"]), ("target_language", ["en", "fr", "en", "en"])):
        table = table.set_column(table.column_names.index(name), name, pa.array(values, pa.string()))
    write_table(tmp_path / "a.parquet", table)
    (batch,) = Shard(tmp_path / "a.parquet").batches()
    assert (len(batch.table), batch.left_out) == (2, 2)


def test_a_hidden_column_is_no_signal(tmp_path: Path) -> None:
    for name in HIDDEN:
        table = pairs_table([make_pair()], {}).append_column(name, pa.array([1]))
        write_table(tmp_path / "a.parquet", table)
        assert name not in Shard(tmp_path / "a.parquet").signals


def test_a_mapping_names_foreign_columns(tmp_path: Path) -> None:
    pq.write_table(pa.table({"ja": ["駅"], "en": ["Station"], "tokens": [[1, 2, 3]]}), tmp_path / "a.parquet")
    languages = {f"{side}_language": {"value": language} for side, language in (("source", "ja"), ("target", "en"))}
    mapping = {"source_text": "ja", "target_text": "en", "target_codes": "tokens", **languages}
    (batch,) = Shard(tmp_path / "a.parquet", mapping).batches()
    row = batch.table.to_pylist()[0]
    assert (row["source_text"], row["target_language"], row["target_codes"]) == ("駅", "en", [1, 2, 3])
    with pytest.raises(UserError, match="no column 'nein'"):
        Shard(tmp_path / "a.parquet", {**mapping, "source_text": "nein"})
    with pytest.raises(UserError, match="no column of a pair"):
        Shard(tmp_path / "a.parquet", {"planted": "ja"})
