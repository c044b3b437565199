"""How fast a large corpus is browsed: `python -m benchmarks.corpus --pairs 1000000 --json speed.json`.

Generates pairs (real code lists and texts of the bundled corpus, recombined; signals at random, some missing), builds
their index, and asks what a visitor of the Corpus tab asks. Each question is also put as plain SQL to the same file
and, where the package `datasets` is installed, to it; ratios are of times in this run. Times are in milliseconds, p95
over `--repeat` different questions.
"""

import argparse
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stsmt.corpus.filters import parse_filters
from stsmt.corpus.index import build_index
from stsmt.corpus.keyset import Sort, write_cursor
from stsmt.corpus.pairs import SCHEMA, SIDES, with_versions
from stsmt.corpus.search import Corpus
from stsmt.corpus.shards import Shard
from stsmt.settings import BUNDLED_MODEL, CORPUS

SHARD = 50_000
SIGNALS = ("target_error_rate", "duration_ratio", "target_repeat_share", "target_silence_share")
WORDS = ("病院", "大学", "駅前", "時計", "電車", "station", "hospital")
FILTER = "target_error_rate <= 5 and duration_ratio < 1.5"
HEAD = "| question | this (p50) | this (p95) | goal | plain SQL (p50) | ratio | datasets | ratio |\n" + "|---" * 8 + "|"


@dataclass
class Line:
    """One row of the table; times in milliseconds, None where not measured."""

    question: str
    times: list[float]
    goal: str = ""
    sql: list[float] | None = None
    datasets: float | None = None

    def __str__(self) -> str:
        middle, high = np.percentile(self.times, (50, 95))
        sql = None if self.sql is None else float(np.median(self.sql))
        cells = [f"{middle:.1f}", f"{high:.1f}", self.goal, *_compared(sql, middle), *_compared(self.datasets, middle)]
        return f"| {self.question} | {' | '.join(cells)} |"


def _compared(other: float | None, own: float) -> list[str]:
    return ["", ""] if other is None else [f"{other:.1f}", f"{other / own:.1f}×"]


def timed(ask: Callable[[], object]) -> float:
    start = time.perf_counter()
    ask()
    return 1000 * (time.perf_counter() - start)


# -- the pairs -------------------------------------------------------------------------------------------------------


def generate(folder: Path, n: int, seed: int) -> list[Path]:
    """Shards of `n` pairs together."""
    bundled, random_ = pq.read_table(CORPUS), np.random.default_rng(seed)
    paths = []
    for first in range(0, n, SHARD):
        path = folder / f"{first:09}.parquet"
        rows = min(SHARD, n - first)
        if not path.exists():
            pq.write_table(_shard(bundled, first, rows, random_), path, compression="zstd", compression_level=1)
        paths.append(path)
    return paths


def _shard(bundled: pa.Table, first: int, n: int, random_: np.random.Generator) -> pa.Table:
    picks = {side: pa.array(random_.integers(0, len(bundled), n)) for side in SIDES}
    table = bundled.select([f.name for f in SCHEMA if f.name in bundled.column_names]).take(picks["source"])
    columns = {name: table[name] for name in table.column_names}
    columns["id"] = pa.array([f"{(first + i) * 0x9E3779B97F4A7C15 % 2**64:016x}" for i in range(n)])
    columns["target_codes"] = bundled["target_codes"].take(picks["target"])
    for side in SIDES:  # different sentences, as a large corpus has them
        texts = enumerate(table[f"{side}_text"].to_pylist(), first)
        columns[f"{side}_text"] = pa.array([f"{text} {i}" for i, text in texts])
    values = {name: random_.gamma(2.0, scale, n) for name, scale in zip(SIGNALS, (8.0, 0.6, 0.1, 0.1), strict=True)}
    missing = random_.random(n) < 0.03
    columns |= {name: pa.array(np.round(column, 3), mask=missing) for name, column in values.items()}
    return with_versions(pa.table(columns), dict.fromkeys(SIGNALS, "random"))


# -- the questions ---------------------------------------------------------------------------------------------------


def questions(corpus: Corpus, raw: duckdb.DuckDBPyConnection, repeat: int, rng: random.Random) -> Iterator[Line]:
    """Every question of a visitor, asked `repeat` times with other words or places."""
    pairs, filters = corpus.count().pairs, parse_filters(FILTER)
    listed = "SELECT id, source_text, target_text, source_voice, target_voice FROM pairs"

    def measure(ask: Callable[[Any], object], over: list[Any]) -> list[float]:
        ask(over[0])
        return [timed(lambda value=value: ask(value)) for value in over]  # type: ignore[misc]

    places = [rng.randrange(pairs) for _ in range(repeat)]
    cursors = [write_cursor(Sort(), (place, place)) for place in places]
    yield Line(
        "page by keyset, order of the corpus",
        measure(lambda cursor: corpus.search(cursor=cursor), cursors),
        "p95 ≤ 25",
        measure(lambda place: raw.execute(f"{listed} ORDER BY number LIMIT 50 OFFSET {place}").fetchall(), places),
    )
    order, values = Sort("target_error_rate", True), [rng.gammavariate(2, 8) for _ in range(repeat)]
    yield Line(
        "page by keyset, by a signal",
        measure(lambda v: corpus.search(sort=order, cursor=write_cursor(order, (v, 0))), values),
        "p95 ≤ 25",
        measure(
            lambda place: raw.execute(
                f"{listed} ORDER BY target_error_rate DESC NULLS LAST, number LIMIT 50 OFFSET {place}"
            ).fetchall(),
            places[:10],
        ),
    )
    words = [WORDS[i % len(WORDS)] for i in range(repeat)]
    like = "(contains(source_text, ?) OR contains(target_text, ?))"
    yield Line(
        "two characters of Japanese, first page",
        measure(corpus.search, words),
        "≤ 60",
        measure(lambda w: raw.execute(f"{listed} WHERE {like} ORDER BY number LIMIT 50", [w, w]).fetchall(), words),
    )
    yield Line(
        "the same, count and hours (not remembered)",
        measure(lambda word: corpus._count(word, ()), words),
        "≤ 200",
        measure(lambda w: raw.execute(f"SELECT count(*) FROM pairs WHERE {like}", [w, w]).fetchall(), words),
    )
    by = Sort("target_repeat_share", True)
    sql = f"{listed} WHERE target_error_rate <= 5 AND duration_ratio < 1.5 ORDER BY target_repeat_share DESC LIMIT 50"
    yield Line(
        "filter on two signals, sort by a third",
        measure(lambda _: corpus.search(filters=filters, sort=by), places),
        "≤ 60",
        measure(lambda _: raw.execute(sql).fetchall(), places),
    )
    passing = "target_error_rate <= 5 AND duration_ratio < 1.5"
    grouped = f"SELECT target_voice, count(*) FROM pairs WHERE {passing} GROUP BY 1"
    yield Line(
        "facet under two filters",
        measure(lambda _: corpus.facets(["target_voice"], "", filters), places),
        "",
        measure(lambda _: raw.execute(grouped).fetchall(), places),
    )
    yield Line("histogram under two filters", measure(lambda _: corpus.histogram(SIGNALS[2], "", filters), places))
    yield Line("sample of 200 under two filters", measure(lambda i: corpus.sample(filters, 200, i), places[:5]))
    ids = corpus.sample((), repeat, 1)
    yield Line(
        "open a pair, without its sound",
        measure(corpus.pair, ids),
        "",
        measure(lambda id: raw.execute("SELECT * FROM pairs WHERE id = ?", [id]).fetchall(), ids),
    )


def opening(corpus: Corpus, ids: list[str]) -> dict[str, float]:
    """What opening a pair takes, as a share of how long both its sides are (medians).

    `decoded`: reading it and decoding both sides; `shown`: all that the tab's handler does for a click, which is also
    its neighbours, where its signals lie in the corpus, and both spectrograms.
    """
    from stsmt.codec import load_codec

    codec = load_codec(BUNDLED_MODEL / "codec")
    click, took = _clicks(corpus, codec), []
    for id in ids:
        pair = corpus.pair(id)
        sides = (pair.source, pair.target)
        long = 1000 * sum(codec.decode(side.codes).seconds for side in sides)
        decoded = timed(lambda id=id: _decode_pair(corpus, codec, id))  # type: ignore[misc]
        took.append((decoded / long, timed(lambda id=id: click(id)) / long))  # type: ignore[misc]
    decoded, shown = np.median(took[1:], axis=0)
    return {"decoded": float(decoded), "shown": float(shown)}


def _decode_pair(corpus: Corpus, codec: Any, id: str) -> None:
    pair = corpus.pair(id)
    for side in (pair.source, pair.target):
        codec.decode(side.codes)


def _clicks(corpus: Corpus, codec: Any) -> Callable[[str], object]:
    """The handler of a click on a row, behind a page that nobody looks at."""
    import gradio as gr

    from stsmt.ui.corpus import CorpusStudio, corpus_tab
    from stsmt.ui.corpus_layout import PLOTS
    from stsmt.ui.sounds import Sounds, decoder

    with gr.Blocks() as app, gr.Tabs() as tabs, gr.Tab("corpus"):
        tab = corpus_tab(CorpusStudio(corpus, Sounds(decoder(codec))), app, tabs)
    visitor: Any = SimpleNamespace(headers={})
    form = ["", "number", False, [], list(PLOTS), "", *([] for _ in tab.parts.facets), ([None], None)]
    return lambda id: tab._open(visitor, id, form, autoplay=False)


def ask_datasets(paths: list[Path]) -> dict[str, float] | None:
    """The same filter and sort by `datasets`, once each; None if it is not installed."""
    try:
        from datasets import Dataset  # type: ignore[import-not-found]
    except ImportError:
        return None
    columns = ["id", "source_text", "target_text", *SIGNALS]
    data = Dataset.from_parquet([str(path) for path in paths], columns=columns)
    word = WORDS[0]

    def passes(errors: list[float | None], ratios: list[float | None]) -> list[bool]:
        both = zip(errors, ratios, strict=True)
        return [e is not None and e <= 5 and r is not None and r < 1.5 for e, r in both]

    def find() -> object:
        return data.filter(lambda texts: [word in text for text in texts], input_columns="source_text", batched=True)

    def sort() -> object:
        chosen = data.filter(passes, input_columns=list(SIGNALS[:2]), batched=True)
        return chosen.sort(SIGNALS[2], reverse=True).select(range(50))[:]

    return {
        "two characters of Japanese, first page": timed(find),
        "filter on two signals, sort by a third": timed(sort),
    }


def run(folder: Path, n: int, repeat: int, threads: int) -> dict[str, Any]:
    """Everything, as a table on standard output; returns the numbers."""
    paths = generate(folder, n, seed=0)
    shards, db = [Shard(path) for path in paths], folder / "corpus.duckdb"
    start = time.perf_counter()
    build_index(shards, db, threads=threads)
    build = time.perf_counter() - start
    numbers: dict[str, Any] = {"pairs": n, "build_pairs_per_second": n / build, "index_bytes": db.stat().st_size}
    print(f"{n:,} pairs, index built at {n / build:,.0f} pairs/s (goal ≥ 100,000)")
    size, before = db.stat().st_size / 1e6, sum(path.stat().st_size for path in paths) / 1e6
    print(f"index {size:.0f} MB, shards {before:.0f} MB\n\n{HEAD}")
    corpus, other = Corpus(db, threads), ask_datasets(paths)
    raw = corpus._connection.cursor()
    for line in questions(corpus, raw, repeat, random.Random(0)):
        line.datasets = (other or {}).get(line.question)
        print(line, flush=True)
        numbers[line.question] = {"p50": float(np.median(line.times)), "p95": float(np.percentile(line.times, 95))}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"\npeak memory: {peak:.0f} MB" + ("" if other else "; datasets is not installed"))
    share = opening(corpus, corpus.sample((), min(repeat, 30) + 1, 0))
    print(f"reading a pair and decoding both sides: {share['decoded']:.2f} of their duration (goal ≤ 0.3)")
    print(f"the same with all that the tab shows of it: {share['shown']:.2f} of their duration")
    return numbers | {"opening_share": share, "peak_megabytes": peak, "datasets_ms": other}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, default=1_000_000)
    parser.add_argument("--repeat", type=int, default=50, help="questions of each kind")
    parser.add_argument("--threads", type=int, default=0, help="of DuckDB (default: all cores)")
    parser.add_argument("--folder", type=Path, help="keep the pairs and the index here (default: a temporary folder)")
    parser.add_argument("--json", type=Path, help="write the numbers here too")
    a = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = a.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        numbers = run(folder, a.pairs, a.repeat, a.threads)
    if a.json:
        versions = {"python": sys.version.split()[0], "duckdb": duckdb.__version__}
        a.json.write_text(json.dumps(numbers | versions, indent=1))


if __name__ == "__main__":
    main()
