"""Questions to the index: what is found, in which order, page by page, and how much of it there is."""

import threading
from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from stsmt.corpus.filters import parse_filters
from stsmt.corpus.keyset import Sort
from stsmt.corpus.pairs import Pair
from stsmt.corpus.search import BINS, Corpus
from stsmt.errors import UserError
from tests.corpus.conftest import index
from tests.corpus.pairs import make_pair, make_pairs

PAIRS = {pair.id: pair for pair in make_pairs(137)}
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(2)>",
    "'; DROP TABLE pairs; --",
    '" OR 1=1 --',
    "${alert(3)} {{constructor}} %s %_",
    "\u202etxet desrever\u202c \u2066isolate",
    "駅" * 33_334,
    "\0nul\x1b[31m",
)


def every_page(corpus: Corpus, sort: Sort, where: str = "", text: str = "", limit: int = 7) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    cursor = None
    while True:
        page = corpus.search(text, parse_filters(where), sort, cursor, limit)
        rows += page.rows
        cursor = page.cursor
        if cursor is None:
            return rows
        assert len(page.rows) == limit


@pytest.mark.parametrize("where", ["", "source_seconds >= 2", "target_error_rate is missing"])
@pytest.mark.parametrize("sort", ["number", "-number", "target_error_rate", "-target_error_rate", "source_seconds"])
def test_pages_show_every_row_once_in_order_also_with_ties_and_missing_values(
    corpus: Corpus, sort: str, where: str
) -> None:
    order = Sort.read(sort)
    rows = every_page(corpus, order, where)
    assert len(rows) == len({row["id"] for row in rows}) == corpus.count("", parse_filters(where)).pairs
    values = [row["value"] for row in rows]
    present = [value for value in values if value is not None]
    assert values == [*present, *[None] * (len(values) - len(present))]
    assert present == sorted(present, reverse=order.descending)


@pytest.mark.parametrize("sort", ["number", "target_error_rate", "-target_error_rate"])
def test_neighbours_are_the_rows_beside_it(corpus: Corpus, sort: str) -> None:
    ids = [row["id"] for row in every_page(corpus, Sort.read(sort))]
    for before, after in pairwise(ids):
        assert corpus.neighbours(before, sort=Sort.read(sort))[1] == [after]
        assert corpus.neighbours(after, sort=Sort.read(sort))[0] == [before]
    assert corpus.neighbours(ids[0], sort=Sort.read(sort), n=2) == ([], ids[1:3])


def test_a_page_has_at_most_fifty_rows(corpus: Corpus) -> None:
    assert len(corpus.search(limit=10_000).rows) == 50
    assert len(corpus.search(limit=-3).rows) == 1


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("大学", "大学"),
        ("病院", "病院"),
        ("STATION", "station"),
        ("ｓｔａｔｉｏｎ", "station"),
        ("書館は", "図書館は"),
        ("hosp", "hospital"),
    ],
)
def test_two_characters_of_japanese_and_parts_of_words_are_found(corpus: Corpus, text: str, part: str) -> None:
    found = {row["id"] for row in every_page(corpus, Sort(), text=text)}
    expected = {id for id, pair in PAIRS.items() if part in pair.source.text or part in pair.target.text}
    assert found == expected != set()
    assert corpus.count(text).pairs == len(expected)


def test_all_words_must_be_found_in_either_language(corpus: Corpus) -> None:
    assert corpus.count("駅 station").pairs == corpus.count("駅").pairs > 0
    assert corpus.count("駅 hospital").pairs == 0


def error(pair: Pair) -> Any:
    return pair.signals["target_error_rate"]


@pytest.mark.parametrize(
    ("where", "holds"),
    [
        ("target_error_rate <= 20", lambda p: error(p) is not None and error(p) <= 20),
        ("target_error_rate != 20", lambda p: error(p) not in (None, 20.0)),
        ("target_error_rate is missing", lambda p: error(p) is None),
        ("target_error_rate is present", lambda p: error(p) is not None),
        ("source_seconds between 2 and 3", lambda p: 2 <= p.source.seconds <= 3),
        ("source_voice != mei", lambda p: p.source.voice != "mei"),
        ("source_voice in (mei, nobody)", lambda p: p.source.voice == "mei"),
        ('source_text contains "病院"', lambda p: "病院" in p.source.text),
        ('target_text lacks "THE"', lambda p: False),
        ("target_error_rate >= 0 and source_voice = mei", lambda p: error(p) is not None and p.source.voice == "mei"),
    ],
)
def test_a_filter_passes_what_it_says_and_nothing_that_is_missing(corpus: Corpus, where: str, holds: Any) -> None:
    found = {row["id"] for row in every_page(corpus, Sort(), where)}
    assert found == {id for id, pair in PAIRS.items() if holds(pair)}


def test_what_a_missing_value_leaves_out_is_counted(corpus: Corpus) -> None:
    totals = corpus.count("", parse_filters("target_error_rate >= 0"))
    assert totals.missing == sum(pair.signals["target_error_rate"] is None for pair in PAIRS.values())
    assert totals.pairs + totals.missing == len(PAIRS)
    assert corpus.count("", parse_filters("source_voice = mei")).missing == 0


def test_hours_are_those_of_both_sides(corpus: Corpus) -> None:
    total = sum((pair.source.seconds or 0) + (pair.target.seconds or 0) for pair in PAIRS.values())
    assert corpus.count().hours == pytest.approx(total / 3600)


def test_facets_count_and_leave_their_own_filter_aside(corpus: Corpus) -> None:
    filters = parse_filters("source_voice = mei and source_seconds >= 2")
    names = ["source_voice", "template", "split", "source_model"]
    found = corpus.facets(names, "駅", filters)
    chosen = [pair for pair in PAIRS.values() if "駅" in pair.source.text and (pair.source.seconds or 0) >= 2]
    assert dict(found["source_voice"]) == Counter(pair.source.voice for pair in chosen)
    chosen = [pair for pair in chosen if pair.source.voice == "mei"]
    assert dict(found["split"]) == Counter(pair.split for pair in chosen)
    assert dict(found["template"]) == Counter(pair.provenance["template"] for pair in chosen)
    assert found.keys() == set(names)


def test_facets_are_sorted_cut_and_show_what_is_missing(tmp_path: Path) -> None:
    bare = [replace(pair, source=replace(pair.source, voice=None)) for pair in make_pairs(7)]
    corpus = index(tmp_path, [*bare, *make_pairs(12)[7:]])
    assert corpus.facets(["source_voice"])["source_voice"] == [(None, 7), ("mei-low", 3), ("mei", 2)]
    assert corpus.facets(["source_voice", "split"], limit=1)["source_voice"] == [(None, 7)]
    with pytest.raises(UserError, match="no column"):
        corpus.facets(["planted"])


def test_a_histogram_holds_every_pair_once(corpus: Corpus) -> None:
    chart = corpus.histogram("target_error_rate", "駅", parse_filters("source_voice = mei"))
    assert chart is not None
    assert len(chart.all) == BINS
    assert sum(chart.all) + sum(pair.signals["target_error_rate"] is None for pair in PAIRS.values()) == len(PAIRS)
    assert sum(chart.selected) + chart.missing == corpus.count("駅", parse_filters("source_voice = mei")).pairs
    assert chart.share_below(-5) == 0
    assert chart.share_below(1000) == 1


def test_samples_repeat_with_their_seed_and_do_not_depend_on_the_order(corpus: Corpus, tmp_path: Path) -> None:
    filters = parse_filters("source_voice = mei")
    first = corpus.sample(filters, 10, 1)
    assert first == corpus.sample(filters, 10, 1) != corpus.sample(filters, 10, 2)
    assert len(set(first)) == 10
    shuffled = index(tmp_path, list(reversed(PAIRS.values())))
    assert shuffled.sample(filters, 10, 1) == first
    assert len(corpus.sample((), 10_000, 0)) == len(PAIRS)


def test_several_threads_ask_at_once(corpus: Corpus) -> None:
    wrong: list[str] = []

    def ask(text: str, expected: int) -> None:
        for _ in range(10):
            rows = every_page(corpus, Sort(), text=text, limit=50)
            if len(rows) != expected:
                wrong.append(text)

    jobs = [(text, corpus.count(text).pairs) for text in ("駅", "病院", "station", "")]
    threads = [threading.Thread(target=ask, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


# -- what people send ------------------------------------------------------------------------------------------------


def test_hostile_texts_are_texts(tmp_path: Path) -> None:
    pairs = [make_pair(text, "Good.", seed=i) for i, text in enumerate(HOSTILE)]
    pairs.append(replace(make_pair("無害", "Harmless.", seed=99), id="'; DROP TABLE pairs; --"))
    corpus = index(tmp_path, pairs)
    for pair in pairs:
        assert corpus.pair(pair.id) == pair
        assert corpus.count(pair.source.text[:200].replace("\0", "")).pairs >= 1
    assert corpus.count().pairs == len(pairs)


@pytest.mark.parametrize("text", [*HOSTILE[:5], HOSTILE[6], "%", "_", "\\", "\ud800"])
def test_hostile_searches_find_nothing_and_break_nothing(corpus: Corpus, text: str) -> None:
    assert corpus.count(text).pairs in (0, len(PAIRS))
    assert corpus.search(text).cursor is None or text == "\ud800"
    assert corpus.count().pairs == len(PAIRS)


def test_a_search_text_of_100_kb_gets_a_sentence(corpus: Corpus) -> None:
    with pytest.raises(UserError, match="too long"):
        corpus.search("駅" * 33_334)


@pytest.mark.parametrize(
    "cursor", ["x", "====", "\ud800", "WyJudW1iZXIiLCAxXQ==", "bnVsbA==", "WyJudW1iZXIiLCAiYSIsIDFd", "W1tb" * 50_000]
)
def test_a_cursor_that_is_none_gets_a_sentence(corpus: Corpus, cursor: str) -> None:
    with pytest.raises(UserError, match="does not belong"):
        corpus.search(cursor=cursor)


def test_a_cursor_of_another_order_gets_a_sentence(corpus: Corpus) -> None:
    cursor = corpus.search(limit=3).cursor
    with pytest.raises(UserError, match="does not belong"):
        corpus.search(sort=Sort("source_seconds"), cursor=cursor)


@pytest.mark.parametrize("column", ["planted", "source_text", "id", "1; DROP TABLE pairs", ""])
def test_only_columns_of_numbers_sort(corpus: Corpus, column: str) -> None:
    with pytest.raises(UserError, match="cannot be sorted"):
        corpus.search(sort=Sort(column))


@pytest.mark.parametrize("id", ["", "nobody", "' OR 1=1 --", "\ud800", "x" * 100_000])
def test_an_id_that_is_none_gets_a_sentence(corpus: Corpus, id: str) -> None:
    with pytest.raises(UserError, match="There is no pair"):
        corpus.pair(id)


def test_a_pair_without_signals_has_them_as_missing(tmp_path: Path) -> None:
    bare: Pair = replace(make_pair(), signals={})
    corpus = index(tmp_path, [bare])
    assert corpus.pair(bare.id).signals == {"target_error_rate": None, "duration_ratio": None}
    assert corpus.histogram("duration_ratio") is None


def test_facets_look_for_parts_and_say_how_much_more_there_is(corpus: Corpus) -> None:
    found = corpus.facets(["source_voice", "template"], limit=1)
    assert found["source_voice"].more == 1
    assert corpus.facets(["source_voice"], part="LOW")["source_voice"] == [("mei-low", 68)]
    assert corpus.facets(["source_voice"], part="%")["source_voice"] == []
    several = corpus.facets(["source_voice", "target_voice"], part="m")
    assert [value for value, _ in several["source_voice"]] == ["mei", "mei-low"]
    assert [value for value, _ in several["target_voice"]] == ["rms"]
