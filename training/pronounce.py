"""Phones of sentences that nobody has spoken: `python -m training.pronounce --work runs/embedded --phrases 15000`.

Writes `work/phones.parquet`. How a sentence is pronounced costs a hundredth of its sound, and spelling what is heard,
translating it and planning how to say that can be learnt from phones alone (`spell` in `training.pack.Mixture`).
"""

import argparse
import os
import random
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tqdm import tqdm

from stsmt.example import LANGUAGES
from training.pack import PHONES_FILE, ByTemplate
from training.phrasebook.grammar import Phrase, phrases
from training.phrasebook.swaps import swapped
from training.voices import phones

FIELDS = ("phrase", "template", "language", "text", "split", "phones")


def choose(found: Sequence[Phrase], count: int, seed: int) -> list[Phrase]:
    """At most `count` different phrases, small templates before large ones are exhausted."""
    source, rng = ByTemplate((phrase.template, phrase) for phrase in found), random.Random(seed)
    drawn = (source.draw(rng) for _ in range(2 * count))
    return list({phrase.id: phrase for phrase in drawn}.values())[:count]


def pronounce(phrase: Phrase) -> list[dict[str, Any]]:
    """The phrase in each language, with its phones."""
    rows = []
    for language in LANGUAGES:
        text = getattr(phrase, language)
        names = (phrase.id, phrase.template, language, text, phrase.split, " ".join(phones(text, language)))
        rows.append(dict(zip(FIELDS, names, strict=True)))
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--phrases", type=int, default=15_000)
    parser.add_argument("--swapped", type=int, default=60, help="sentences with swapped words of every template, too")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    chosen = choose([phrase for phrase in phrases() if phrase.split == "train"], a.phrases, a.seed)
    chosen += swapped(a.swapped, a.seed)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = [*tqdm(pool.map(pronounce, chosen), total=len(chosen), desc="phones")]
    rows = [row for pair in made for row in pair]
    pq.write_table(pa.Table.from_pylist(rows), a.work / PHONES_FILE, compression="zstd")


if __name__ == "__main__":
    main()
