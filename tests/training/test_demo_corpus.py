"""The bundled corpus: pairs in both directions, a tenth of them spoiled in ways that are written down."""

from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stsmt.corpus.pairs import pair_id
from stsmt.settings import CORPUS
from training.demo_corpus import DEFECTS, Phrase, demo_pairs, read_phrases

TARGETS, SOURCES = {"ja": "mei", "en": "slt"}, {"ja": "espeak-ja", "en": "espeak-en"}


def row(i: int, language: str, voice: str) -> dict[str, Any]:
    text = f"{i}番の駅です。" if language == "ja" else f"This is station {i}."
    first = 1000 * (language == "en") + 10 * i
    return {
        "phrase": f"p{i}", "template": f"t{i % 7}", "split": "dev" if i % 20 == 0 else "train", "language": language,
        "voice": voice, "text": text, "codes": [(first + k * k) % 4096 for k in range(60 + i % 30)],
    }  # fmt: skip


@pytest.fixture(scope="module")
def phrases(tmp_path_factory: pytest.TempPathFactory) -> list[Phrase]:
    rows = []
    for i in range(200):
        voices = SOURCES if i == 199 else TARGETS | ({"en": "espeak-en"} if i % 9 == 0 else {})
        rows += [row(i, language, voice) for language, voice in voices.items()]
    file = tmp_path_factory.mktemp("codes") / "codes.parquet"
    pq.write_table(pa.Table.from_pylist(rows), file)
    return read_phrases(file)


def test_pairs_go_both_ways_and_end_in_a_voice_that_models_speak(phrases: list[Phrase]) -> None:
    pairs, _ = demo_pairs(phrases, 150, seed=0)
    assert Counter(pair.source.language for pair in pairs)["ja"] > 50
    assert {pair.target.voice for pair in pairs} <= set(TARGETS.values())
    assert len({pair.id for pair in pairs}) == 150
    assert all(pair.id == pair_id(pair.source, pair.target) for pair in pairs)
    assert all(pair.provenance["licence"] and pair.provenance["origin"] for pair in pairs)


def test_templates_are_spread_evenly(phrases: list[Phrase]) -> None:
    pairs, _ = demo_pairs(phrases, 70, seed=0)
    assert set(Counter(pair.provenance["template"] for pair in pairs).values()) == {10}


def test_a_tenth_is_spoiled_in_every_way_and_the_rest_is_sound(phrases: list[Phrase]) -> None:
    pairs, planted = demo_pairs(phrases, 180, seed=0)
    assert Counter(filter(None, planted)) == dict.fromkeys(DEFECTS, 3)
    whole = {(p.sides["ja"]["text"], p.sides["en"]["text"]): p for p in phrases}
    for pair, defect in zip(pairs, planted, strict=True):
        texts = {side.language: side.text for side in (pair.source, pair.target)}
        known = whole.get((texts["ja"], texts["en"]))
        sound = known is not None and tuple(known.sides[pair.target.language]["codes"]) == pair.target.codes
        assert sound == (defect is None), defect


def test_a_defect_lends_nothing_across_splits(phrases: list[Phrase]) -> None:
    split = {side["text"]: phrase.split for phrase in phrases for side in phrase.sides.values()}
    for pair in demo_pairs(phrases, 180, seed=3)[0]:
        assert split[pair.source.text] == split[pair.target.text] == pair.split


def test_the_same_seed_gives_the_same_pairs(phrases: list[Phrase]) -> None:
    assert demo_pairs(phrases, 50, 1) == demo_pairs(phrases, 50, 1)
    assert demo_pairs(phrases, 50, 1) != demo_pairs(phrases, 50, 2)


@pytest.mark.skipif(not CORPUS.is_file(), reason="the bundled corpus is not there")
def test_the_bundled_corpus_is_small_and_spoiled_by_a_tenth() -> None:
    table = pq.read_table(CORPUS)
    assert CORPUS.stat().st_size <= 800_000  # codes of more entropy than those that fitted in 700 kB
    assert len(table) == 1920
    planted = Counter(table["planted"].to_pylist())
    assert planted.pop(None) == 1728
    assert set(planted) == set(DEFECTS)
