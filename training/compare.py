"""Did it get better? `python -m training.compare old-report new-report --codes runs/embedded/codes.parquet`.

Two folders of `training.evaluate`, on the utterances that both have measured: figures of different samples say nothing
about two models. With `--codes`, also how often the second one's transcripts of unseen sentences are fully right, by
how many spoken training sentences their template has.
"""

import argparse
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from stsmt import metrics
from stsmt.errors import UserError, stated_errors
from stsmt.example import LANGUAGES
from training.evaluate import read_records
from training.measure import Record
from training.summary import summarise

SHOWN = ("stt.transcript.error", "mt.translation.chrf", "chain.translation.chrf", "chain.heard.chrf", "tts.heard.error")
EDGES = (0, 20, 40, 80, 150, 300)  # spoken sentences of a template


def records_of(folder: Path) -> dict[str, Record]:
    """What a report rests on.

    Raises:
        UserError: if the folder holds none.
    """
    found = read_records(folder / "items.jsonl")
    if not found:
        raise UserError(f"{folder} holds no items.jsonl with measurements; give a folder of training.evaluate.")
    return found


def side_by_side(old: Mapping[str, Record], new: Mapping[str, Record], seed: int) -> Iterator[str]:
    """Lines of a table: both models' measures on the utterances that both have.

    Raises:
        UserError: if there is none.
    """
    shared = sorted(old.keys() & new.keys())
    if not shared:
        raise UserError("The two reports have no utterance in common.")
    before, after = (summarise([found[key] for key in shared], seed) for found in (old, new))
    later = {(row["set"], row["measure"], row["subject"]): row for row in after}
    yield "| set | measure | | old | new |"
    yield "|---|---|---|---|---|"
    for row in before:
        other = later.get((row["set"], row["measure"], row["subject"]))
        if row["measure"] in SHOWN and other is not None:
            cells = row["set"], row["measure"], f"{row['subject']}, n {row['n']}", _figure(row), _figure(other)
            yield f"| {' | '.join(cells)} |"


def _figure(row: Mapping[str, Any]) -> str:
    return "{value:.1f} ({low:.1f}–{high:.1f})".format(**row)


def by_rarity(records: Sequence[Record], codes: Path) -> Iterator[str]:
    """Lines of a table: transcripts fully right by the spoken training sentences of their template."""
    rows = pq.read_table(codes, columns=["template", "split", "language"]).to_pylist()
    spoken = Counter(row["template"] for row in rows if row["split"] == "train" and row["language"] == "ja")
    yield "| spoken sentences of the template | share of training | " + " | ".join(LANGUAGES) + " |"
    yield "|---" * (2 + len(LANGUAGES)) + "|"
    for low, high in zip(EDGES, (*EDGES[1:], 10**9), strict=True):
        share = sum(n for n in spoken.values() if low <= n < high) / spoken.total()
        own = [r for r in records if r["set"] == "unseen_sentence" and low <= spoken[r["template"]] < high]
        cells = (_right([r for r in own if r["language"] == language]) for language in LANGUAGES)
        yield f"| {low}–{high - 1 if high < 10**9 else '…'} | {100 * share:.0f} % | {' | '.join(cells)} |"


def _right(records: Sequence[Record]) -> str:
    if not records:
        return "–"
    found = metrics.share([r["parts"]["stt"].get("transcript") == r["source_text"] for r in records])
    return f"{found.value:.0f} % ({found.low:.0f}–{found.high:.0f}; n {found.n})"


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--codes", type=Path, help="codes.parquet of the run that trained the second")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args(arguments)
    with stated_errors():
        if a.codes is not None and not a.codes.is_file():
            raise UserError(f"There is no {a.codes}; give the codes.parquet of a run.")
        new = records_of(a.new)
        print("\n".join(side_by_side(records_of(a.old), new, a.seed)))
        if a.codes is not None:
            print("\n" + "\n".join(by_rarity(list(new.values()), a.codes)))


if __name__ == "__main__":
    main()
