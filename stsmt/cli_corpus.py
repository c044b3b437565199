"""`stsmt corpus index | stats | search`: make an index of pairs, say what is in it, find pairs in it."""

import argparse
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stsmt.errors import UserError
from stsmt.settings import Settings

INDEX_EPILOG = """\
examples:
  stsmt corpus index assets/corpus/pairs.parquet --db corpus.duckdb     the bundled pairs
  stsmt corpus index shards/ more.parquet --db corpus.duckdb            every Parquet file of a folder, and one more
  stsmt corpus index recordings/ --db corpus.duckdb                     recordings listed by metadata.csv or .jsonl
  stsmt corpus index owner/name --db corpus.duckdb                      a dataset on the Hub (or hf://datasets/…)
  stsmt corpus index other.parquet --mapping other.json --db corpus.duckdb

Needed columns: source_text, source_language, target_text, target_language (languages: ja, en). Known ones: the same two
prefixes with voice, codes, seconds, model, seed, audio, heard, reading; and id, split, origin, licence, template. Other
columns of numbers (with names in lower case) are signals. A mapping is a JSON object, our column → yours, or
→ {"value": …} for what is the same in all rows. For a data set with the columns utt_id, text_ja, text_en, codes_ja,
codes_en, dur_ja, dur_en, speaker and bleu (which becomes a signal by itself), other.json would be:

MAPPING
Recordings (source_audio, target_audio) must lie in the folder of the shard or in the folder given; a dataset on the
Hub has none. What lies elsewhere or is no audio is left out and counted, and its pair stays.
"""
EXAMPLE_MAPPING = """\
  {"id": "utt_id",
   "source_text": "text_ja", "source_language": {"value": "ja"},
   "source_codes": "codes_ja", "source_seconds": "dur_ja", "source_voice": "speaker",
   "target_text": "text_en", "target_language": {"value": "en"},
   "target_codes": "codes_en", "target_seconds": "dur_en", "target_voice": {"value": "unknown"},
   "origin": {"value": "my data set"}, "licence": {"value": "CC-BY-4.0"}}
"""
SEARCH_EPILOG = """\
examples:
  stsmt corpus search 駅 --db corpus.duckdb
  stsmt corpus search "train station" --where "target_error_rate > 20" --sort target_error_rate --descending
  stsmt corpus search "" --where "target_voice in (slt, rms) and split = train" --limit 10 --json

All words must be found, in either language, as parts of words too; width, case and kana do not matter. Filters are
"column operator value" joined by "and"; operators: < <= > >= = != between in contains lacks, and "is missing" or
"is present". A pair without a value never passes a filter on it.
"""


def add_corpus(verbs: Any) -> None:
    """The verb `corpus` with its own verbs."""
    corpus = verbs.add_parser("corpus", help="make, describe and search an index of speech pairs")
    own = corpus.add_subparsers(dest="corpus_verb", required=True, metavar="VERB")
    index = _verb(own, "index", "Parquet shards → an index", INDEX_EPILOG.replace("MAPPING\n", EXAMPLE_MAPPING), _index)
    index.add_argument("sources", nargs="+", metavar="PARQUET", help="Parquet files, folders, or datasets on the Hub")
    index.add_argument("--mapping", metavar="FILE.json", help="which foreign columns are which of ours")
    index.add_argument("--keep-kana", action="store_true", help="search hiragana and katakana as different letters")
    stats = _verb(own, "stats", "what an index holds", "", _stats)
    search = _verb(own, "search", "find pairs", SEARCH_EPILOG, _search)
    search.add_argument("text", metavar="TEXT", help='words in either language; "" for all pairs')
    search.add_argument("--sort", metavar="COLUMN", help="a column of numbers")
    search.add_argument("--descending", action="store_true", help="the largest first")
    search.add_argument("--limit", type=int, default=20, metavar="N", help="pairs to show, at most 50 (default: 20)")
    search.add_argument("--cursor", help="where the page before ended")
    for verb in (stats, search):
        verb.add_argument("--where", default="", metavar="FILTERS", help='such as "target_seconds > 3"')


def _verb(
    verbs: Any, name: str, help: str, epilog: str, run: Callable[[argparse.Namespace], int]
) -> argparse.ArgumentParser:
    layout = argparse.RawDescriptionHelpFormatter
    verb: argparse.ArgumentParser = verbs.add_parser(name, help=help, epilog=epilog, formatter_class=layout)
    verb.add_argument("--db", metavar="FILE", help="the index (default: STSMT_DB, or corpus.duckdb)")
    verb.add_argument("--json", action="store_true", help="print one JSON document")
    verb.set_defaults(run=run)
    return verb


def _db(options: argparse.Namespace) -> Path:
    return Path(options.db or Settings.read().db)


def _index(options: argparse.Namespace) -> int:
    from stsmt.corpus.index import build_index
    from stsmt.corpus.sources import open_shards, read_mapping

    db = _db(options)
    if not db.absolute().parent.is_dir():
        raise UserError(f"The folder of {db} does not exist; create it first.")
    mapping = read_mapping(Path(options.mapping)) if options.mapping else None
    shards = open_shards(options.sources, mapping)
    try:
        report = build_index(shards, db, fold_kana=not options.keep_kana, progress=_progress)
    finally:
        print(file=sys.stderr)  # what comes next stands on a line of its own
    if options.json:
        print(json.dumps(vars(report) | {"db": str(db)}, ensure_ascii=False))
        return 0
    print(f"{report.pairs:,} pairs in {db}")
    remarks = {
        "rows had no text or no known language and were left out": report.left_out,
        "rows had an id that came before and were left out": report.repeated,
        "values of signals were no numbers and count as missing": report.not_numbers,
        "recordings lie outside the corpus's folder, are missing or no audio, and will not be heard": (
            report.no_recording
        ),
    }
    for remark, n in remarks.items():
        if n:
            print(f"note: {n:,} {remark}", file=sys.stderr)
    return 0


def _progress(done: int, total: int) -> None:
    print(f"\r{done:,} of {total:,} pairs", end="", file=sys.stderr, flush=True)


def _stats(options: argparse.Namespace) -> int:
    from stsmt.corpus.filters import parse_filters
    from stsmt.corpus.search import Corpus

    corpus, filters = Corpus(_db(options)), parse_filters(options.where)
    totals = corpus.count("", filters)
    named = [name for name, column in corpus.columns.items() if column.kind == "choice"]
    choices = {name: dict(counts) for name, counts in corpus.facets(named, "", filters, 20).items()}
    numbers = {name: corpus.describe(name, filters) for name, c in corpus.columns.items() if c.kind == "number"}
    if options.json:
        signals = {name: {**row, "version": corpus.signals.get(name)} for name, row in numbers.items()}
        everything = {"pairs": totals.pairs, "hours": round(totals.hours, 4), "choices": choices, "numbers": signals}
        print(json.dumps(everything, ensure_ascii=False))
        return 0
    print(f"{totals.pairs:,} pairs, {totals.hours:.1f} hours")
    for name, counts in choices.items():
        first = list(counts.items())[:8]
        shown = ", ".join(f"{'missing' if value is None else _line(value)} {n:,}" for value, n in first)
        print(f"{name:28} {shown}{', …' if len(counts) > 8 else ''}")
    for name, row in numbers.items():
        if row["median"] is None:
            print(f"{name:28} missing everywhere")
        else:
            low, middle, high = (row[key] for key in ("least", "median", "most"))
            print(f"{name:28} {low:.3g} … {middle:.3g} … {high:.3g}, missing {row['missing']:,}")
    return 0


def _search(options: argparse.Namespace) -> int:
    from stsmt.corpus.filters import check_filters, parse_filters, to_sentence
    from stsmt.corpus.keyset import Sort
    from stsmt.corpus.search import Corpus

    corpus = Corpus(_db(options))
    filters = check_filters(parse_filters(options.where), corpus.columns)
    page = corpus.search(
        options.text, filters, Sort(options.sort or "number", options.descending), options.cursor, options.limit
    )
    totals = corpus.count(options.text, filters)
    if options.json:
        found = {"total": totals.pairs, "hours": round(totals.hours, 4), "missing": totals.missing}
        print(json.dumps({**found, "pairs": page.rows, "cursor": page.cursor}, ensure_ascii=False))
        return 0
    for row in page.rows:
        print(f"{row['id']}  {_line(row['source_text'])}  →  {_line(row['target_text'])}")
    passed = to_sentence(filters, corpus.columns, "en")
    print(f"note: {len(page.rows)} of {totals.pairs:,} pairs, {totals.hours:.1f} hours ({passed})", file=sys.stderr)
    if totals.missing:
        print(f"note: {totals.missing:,} pairs lack a value that is filtered by", file=sys.stderr)
    if page.cursor:
        print(f"note: more with --cursor {page.cursor}", file=sys.stderr)
    return 0


def _line(text: str) -> str:
    """What a terminal can show on one line: text from elsewhere may hold its control sequences."""
    return "".join(c if c.isprintable() else " " for c in text[:120])
