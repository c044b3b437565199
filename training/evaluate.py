"""Measure a checkpoint: `python -m training.evaluate --model assets/embedded --judge assets/judge --out report`.

Phrases that training never saw are spoken on the fly, go through every task, and are heard by the judge. Writes
`items.jsonl` (one line per utterance; a second run goes on from there, also with a larger `--n`), `report.json`,
`report.md` and plots. `--readme README.md` puts the main numbers there. Needs what training needs, flite included.
"""

import argparse
import hashlib
import json
import random
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from stsmt import metrics
from stsmt.errors import UserError, stated_errors
from stsmt.example import LANGUAGES, Language
from stsmt.translator import Translator
from training import report
from training.calibration import calibration
from training.measure import FROM_SPEECH, PARTS, Bench, HeldOutSet, Item, Record, Role
from training.phrasebook.grammar import Phrase
from training.robustness import CONDITIONS
from training.summary import count_requests, summarise, summarise_voices
from training.workers import check_counts, measure_all, measure_here

EXAMPLES = 10  # listed per direction
TIMED = 25  # utterances per direction that are measured alone, so that their times mean something
ITEMS_FILE, RUN_FILE = "items.jsonl", "run.json"

SETS: dict[str, HeldOutSet] = {
    held_out.name: held_out
    for held_out in (
        HeldOutSet("unseen_sentence", "test", "target", tuple(PARTS)),
        HeldOutSet("unseen_voice", "test", "unseen", FROM_SPEECH),
        HeldOutSet("unseen_template", "unseen_template", "target", tuple(PARTS)),
        HeldOutSet("dev", "dev", "target", ("stt", "tts")),
        HeldOutSet("dev_voice", "dev", "unseen", ("stt",)),
        *(HeldOutSet(name, "test", "target", ("stt",), alter) for name, alter in CONDITIONS.items()),
    )
}
MAIN = ["unseen_sentence", "unseen_voice", "unseen_template"]


# -- what to measure -------------------------------------------------------------------------------------------------


def spread(pool: Iterable[Phrase], seed: int) -> list[Phrase]:
    """All phrases in a seeded order in which templates take turns: any beginning of it covers the domain evenly."""
    chance = random.Random(seed)
    groups: dict[str, list[Phrase]] = defaultdict(list)
    for phrase in sorted(pool, key=lambda phrase: phrase.id):
        groups[phrase.template].append(phrase)
    ordered = list(groups.values())
    chance.shuffle(ordered)
    for group in ordered:
        chance.shuffle(group)
    longest = max((len(group) for group in ordered), default=0)
    return [group[turn] for turn in range(longest) for group in ordered if turn < len(group)]


def plan(
    sets: Sequence[tuple[HeldOutSet, int]],
    phrases: Sequence[Phrase],
    voices: Callable[[Language, Role], Sequence[str]],
    seed: int,
    without: Container[str] = (),
) -> list[Item]:
    """At most so many items of each set per direction, interleaved: a run cut short has measured a bit of all.

    `voices(language, role)` names the voices, which take turns; phrases whose id is in `without` are left out.

    Raises:
        UserError: if a set has no phrases or no voices.
    """
    chosen = {held.name: spread((p for p in phrases if p.split == held.split), seed)[:n] for held, n in sets}
    for held_out, _ in sets:
        if not chosen[held_out.name] or not all(voices(language, held_out.role) for language in LANGUAGES):
            raise UserError(f"There is nothing to measure in the set {held_out.name}: no phrases or no voices.")
    items = []
    for index in range(max(n for _, n in sets)):
        for held_out, _ in sets:
            for language in LANGUAGES:
                if index < len(chosen[held_out.name]):
                    names = voices(language, held_out.role)
                    voice = names[index % len(names)]
                    items.append(Item(held_out, language, chosen[held_out.name][index], voice, seed + index))
    return [item for item in items if item.phrase.id not in without]


def read_sets(names: Iterable[str], n: int) -> list[tuple[HeldOutSet, int]]:
    """Sets and how much of each: `name` for `n` utterances per direction, `name:40` for 40.

    Raises:
        UserError: for a set or a number that does not exist.
    """
    found = []
    for given in dict.fromkeys(names):
        name, _, count = given.partition(":")
        if name not in SETS or (count and not count.isdecimal()):
            raise UserError(f"There is no set {given!r}; choose from {', '.join(SETS)}, with or without :N.")
        found.append((SETS[name], int(count or n)))
    return found


# -- the run ---------------------------------------------------------------------------------------------------------


MeasureAll = Callable[[Sequence[Item], int], Iterator[Record]]


def run(
    bench: Bench,
    items: Sequence[Item],
    out: Path,
    *,
    minutes: float | None = None,
    at_once: int = 1,
    measure_all: MeasureAll | None = None,
) -> list[Record]:
    """Measure what `out` does not hold yet, until `minutes` are over; returns the records of `items` so far.

    `measure_all(items, at_once)` measures; here and now if there is none.
    """
    done = read_records(out / ITEMS_FILE)
    deadline = None if minutes is None else time.monotonic() + 60 * minutes
    missing = [item for item in items if item.key not in done]
    timed, others = divide(missing, items)
    measured = measure_all or (lambda chosen, count: measure_here(bench, chosen, count))
    records = (record for group in ((timed, 1), (others, at_once)) if group[0] for record in measured(*group))
    bar = tqdm(total=len(items), initial=len(items) - len(missing), desc="evaluate", unit="utterance", file=sys.stderr)
    with bar, (out / ITEMS_FILE).open("a", encoding="utf-8") as file:
        while deadline is None or time.monotonic() <= deadline:
            if (record := next(records, None)) is None:
                break
            done[record["key"]] = record
            file.write(json.dumps(record, ensure_ascii=False) + "\n")
            file.flush()
            bar.update()
    return [done[item.key] for item in items if item.key in done]


def divide(missing: Sequence[Item], items: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """(what is measured alone, the first utterances of the first set; what may be measured at once)."""
    first = [item.key for item in items if item.held_out == items[0].held_out]
    timed = set(first[: TIMED * len(LANGUAGES)])
    return [item for item in missing if item.key in timed], [item for item in missing if item.key not in timed]


def read_records(path: Path) -> dict[str, Record]:
    """Records by key. A last line that was cut off by a crash is removed from the file."""
    if not path.exists():
        return {}
    data = path.read_bytes()
    whole = data[: data.rfind(b"\n") + 1]
    if len(whole) < len(data):
        path.write_bytes(whole)
    # Not splitlines(): a random model writes U+2028 and its like, which JSON does not escape.
    lines = whole.decode("utf-8").split("\n")[:-1]
    return {record["key"]: record for record in map(json.loads, lines)}


def claim(out: Path, identity: dict[str, Any]) -> None:
    """Make `out` the folder of one run.

    Raises:
        UserError: if it holds results of another model, judge or seed.
    """
    out.mkdir(parents=True, exist_ok=True)
    file = out / RUN_FILE
    if file.exists() and json.loads(file.read_text(encoding="utf-8")) != identity:
        raise UserError(f"{out} holds results of another model, judge or seed; delete it or give another --out.")
    file.write_text(json.dumps(identity, indent=1), encoding="utf-8")


def fingerprint(folder: Path) -> str:
    """Of all files in a folder, so that a retrained checkpoint of the same name is noticed."""
    digest = hashlib.sha256()
    for path in _files(folder):
        digest.update(path.relative_to(folder).as_posix().encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _files(folder: Path) -> Iterator[Path]:
    # The card quotes the numbers of this very evaluation.
    return (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "card.md")


# -- the report ------------------------------------------------------------------------------------------------------


def examples(records: Sequence[Record], seed: int, count: int = EXAMPLES) -> list[dict[str, str]]:
    """Random utterances of the first set, `count` per direction, with everything that was written and heard."""
    found = []
    for language in LANGUAGES:
        pool = [r for r in records if r["language"] == language and "chain" in r["parts"]]
        pool = [r for r in pool if r["set"] == pool[0]["set"]]
        for record in sorted(random.Random(seed).sample(pool, min(count, len(pool))), key=lambda r: r["key"]):
            found.append(_example(record))
    return found


def _example(record: Record) -> dict[str, str]:
    chain, direct = record["parts"]["chain"], record["parts"].get("direct", {})
    return {
        "direction": f"{record['language']}-{record['target']}",
        "voice": record["voice"],
        "said": record["source_text"],
        "transcript": chain.get("transcript") or "",
        "reference": record["target_text"],
        "translation": chain.get("translation") or "",
        "heard": chain.get("heard") or "",
        "heard_direct": direct.get("heard") or "",
    }


def make_report(
    records: Sequence[Record], planned: int, identity: dict[str, Any], command: str, seed: int
) -> dict[str, Any]:
    """Everything that `report.json` holds."""
    clean = [record for record in records if record["set"] not in CONDITIONS]
    return {
        **identity,
        "command": command,
        "utterances": {"planned": planned, "measured": len(records)},
        "intervals": "95 %: bootstrap over utterances, Wilson's for shares",
        "scores": metrics.signatures(),
        "totals": count_requests(clean),
        "rows": summarise(records, seed),
        "voices": summarise_voices(clean, seed),
        "confidence": calibration(clean),
        "examples": examples(records, seed),
    }


def make_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training.evaluate", description="Measure a checkpoint.")
    parser.add_argument("--model", default="assets/embedded", help="checkpoint folder, or owner/name@revision")
    parser.add_argument("--judge", type=Path, default=Path("assets/judge"), help="folder of the judge")
    parser.add_argument("--n", type=int, default=100, help="utterances per set and direction (default: 100)")
    parser.add_argument("--out", type=Path, default=Path("report"), help="folder of the report; is resumed")
    parser.add_argument("--sets", nargs="+", default=MAIN, metavar="SET[:N]", help=", ".join(MAIN))
    parser.add_argument(
        "--robustness",
        nargs="?",
        type=int,
        const=0,
        metavar="N",
        help="also what noise, rooms, tempo, pitch … do to listening (N utterances each, default: --n)",
    )
    parser.add_argument(
        "--without", nargs="+", default=(), metavar="PHRASE", help="ids of phrases that training has met"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--readme", type=Path, help="file in which to replace the numbers")
    parser.add_argument("--minutes", type=float, help="stop after so many; run again to go on")
    parser.add_argument("--processes", type=int, default=1, help="how many at once, one thread each")
    parser.add_argument(
        "--at-once", type=int, default=1, help="how many utterances at once in each process; 24 is fast"
    )
    parser.add_argument("--engine", default="transformers")
    parser.add_argument("--device", default="cpu")
    return parser


def evaluate(options: argparse.Namespace) -> dict[str, Any]:
    """Load, measure, write; returns the report."""
    bench, items = prepare(options)
    return measure_and_write(bench, items, options)


def prepare(options: argparse.Namespace) -> tuple[Bench, list[Item]]:
    """What is measured, and with what."""
    # Here and not above: they need the training programs, which tests of everything else do without.
    from training.phrasebook.grammar import phrases
    from training.recogniser import Judge, reading
    from training.voices import speak, voice_names

    bench = Bench(
        Translator.load(options.model, options.engine, options.device), Judge.load(options.judge), speak, reading
    )
    sets = read_sets(options.sets, options.n)
    if options.robustness is not None:
        sets += read_sets(CONDITIONS, options.robustness or options.n)
    return bench, plan(sets, list(phrases()), voice_names, options.seed, options.without)


def measure_and_write(bench: Bench, items: Sequence[Item], options: argparse.Namespace) -> dict[str, Any]:
    """Everything after loading."""
    model, local = bench.translator.model, Path(options.model)
    identity = {
        "model": {"name": model.name, "revision": model.revision},
        "weights": fingerprint(local) if local.is_dir() else model.revision,
        "judge": fingerprint(options.judge) if options.judge.is_dir() else str(options.judge),
        "seed": options.seed,
    }
    claim(options.out, identity)
    check_counts(options)

    def measure_share(chosen: Sequence[Item], at_once: int) -> Iterator[Record]:
        return measure_all(bench, chosen, prepare, options, at_once)

    records = run(
        bench, items, options.out, minutes=options.minutes, at_once=options.at_once, measure_all=measure_share
    )
    command = f"python -m training.evaluate --n {options.n} --sets {' '.join(options.sets)}"
    if options.robustness is not None:
        command += f" --robustness {options.robustness or ''}".rstrip()
    if options.without:
        command += f" --without {' '.join(options.without)}"
    found = make_report(records, len(items), identity, command, options.seed)
    report.write(found, options.out)
    if options.readme is not None:
        report.write_readme(found, options.readme)
    return found


def main(arguments: list[str] | None = None) -> None:
    options = make_parser().parse_args(arguments)
    with stated_errors():
        found = evaluate(options)
    counts = found["utterances"]
    print(
        f"{counts['measured']} of {counts['planned']} utterances measured: {options.out / 'report.md'}", file=sys.stderr
    )


if __name__ == "__main__":
    main()
