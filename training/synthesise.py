"""Speak the phrasebook: `python -m training.synthesise --work runs/embedded --phrases 9000`.

Every phrase is spoken once in each language by a voice drawn from the seed; those of templates that have few, again by
other voices (`--least`), because a sentence heard once or twice is taken for the beginning of a frequent one. The
result is a folder of shards, each an `.npz` with 16-bit samples of many sentences end to end and a `.json` that lists
them; what is in a shard is not spoken again, so the command can be stopped, repeated, and repeated with more phrases.

With `--known` the utterances of `codes.parquet` that have no sound are spoken instead (what `training.export --restore`
gives has none): the codec's stages want it, and a voice says a text in the same way on any machine.
"""

import argparse
import json
import multiprocessing
import os
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from stsmt.errors import UserError, stated_errors
from stsmt.example import LANGUAGES, Language
from training.phrasebook.grammar import Phrase, phrases
from training.phrasebook.swaps import swapped
from training.speech import SHARD_SUFFIXES, key_of, list_shards, read_list
from training.voices import SAMPLE_RATE, VOICES, Voice, katakana, phones, speak

SHARD_LINES = 100  # utterances in a shard
LEAST = 40  # utterances of a template in each language, where its phrases and the voices allow it
SWAPS = 20  # sentences with swapped words of a template, at most
SOURCE_SHARE = 0.2  # sentences spoken by a source-only voice
MAX_SECONDS = 6.0  # longer sentences are left out, never cut
Take = tuple[Phrase, int]  # a phrase, and how often it was spoken before
Line = dict[str, Any]  # who says what: phrase, take, template, split, language, voice, text


def choose_voice(rng: random.Random, language: Language) -> Voice:
    """A target voice, the default one twice as often as the others, or now and then a source-only one."""
    role = "source" if rng.random() < SOURCE_SHARE else "target"
    pool = [v for v in VOICES.values() if v.language == language and v.role == role]
    return rng.choices(pool, weights=[2.0, *[1.0] * (len(pool) - 1)])[0]


def cast(phrase: str, language: Language, seed: int) -> list[Voice]:
    """All voices of training in the order in which they speak a phrase."""
    rng = random.Random(f"{seed}:{phrase}")
    first = {each: choose_voice(rng, each) for each in LANGUAGES}[language]  # one draw after the other
    others = [v for v in VOICES.values() if v.language == language and v.role != "unseen" and v != first]
    return [first, *rng.sample(others, len(others))]


def lines(take: Take, seed: int) -> list[Line]:
    """What is said in a take, once in each language."""
    phrase, number = take
    known = {"phrase": phrase.id, "take": number, "template": phrase.template, "split": phrase.split}
    return [
        known | {"language": each, "voice": cast(phrase.id, each, seed)[number].name, "text": getattr(phrase, each)}
        for each in LANGUAGES
    ]


def known_lines(work: Path) -> list[Line]:
    """The utterances of `work/codes.parquet` whose sound is not in `work/speech`.

    Raises:
        UserError: if there are no codes.
    """
    file, turns = work / "codes.parquet", Counter[tuple[str, str]]()
    if not file.exists():
        raise UserError(f"There is no {file}; make a run of what is shipped with: python -m training.export --restore.")
    there = {key_of(row) for shard in list_shards(work / "speech") for row in read_list(shard)}
    found = []
    for row in pq.read_table(file, columns=["phrase", "template", "split", "language", "voice", "text"]).to_pylist():
        number = turns[row["phrase"], row["language"]]
        turns[row["phrase"], row["language"]] += 1
        if key_of(row) not in there:
            found.append(row | {"take": number})
    return found


def speak_shard(task: tuple[Path, list[Line]]) -> int:
    """Synthesise one shard; returns the number of utterances written."""
    path, batch = task
    rows: list[dict[str, Any]] = []
    waves = [np.zeros(0, np.int16)]
    offset = 0
    for line in batch:
        text, language = line["text"], line["language"]
        samples = np.round(speak(text, language, line["voice"]).samples * 32767).astype(np.int16)
        if len(samples) > MAX_SECONDS * SAMPLE_RATE:
            continue
        said = {"phones": phones(text, language), "reading": katakana(text) if language == "ja" else None}
        rows.append(line | said | {"offset": offset, "samples": len(samples)})
        waves.append(samples)
        offset += len(samples)
    temporary = path.with_suffix(".tmp.npz")
    np.savez(temporary, audio=np.concatenate(waves))
    path.with_suffix(".json").write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
    temporary.rename(path)  # the .npz appears last: its presence means that the shard is whole
    return len(rows)


def takes(chosen: Sequence[Phrase], least: int) -> list[Take]:
    """Every phrase once; the training phrases of templates with fewer than `least` again until there are as many
    utterances, or no more voices."""
    sizes = Counter(phrase.template for phrase in chosen if phrase.split == "train")
    voices = min(sum(v.language == language and v.role != "unseen" for v in VOICES.values()) for language in LANGUAGES)
    found = [(phrase, 0) for phrase in chosen]
    for phrase in chosen:
        if phrase.split == "train":
            found += [(phrase, number) for number in range(1, min(voices, -(-least // sizes[phrase.template])))]
    return found


def synthesise(work: Path, *, count: int, nonsense: int, least: int, seed: int, processes: int) -> None:
    """Speak `count` phrases of the splits train and dev, and `nonsense` swapped ones, into `work/speech`."""
    pool = [p for p in phrases(seed) if p.split in ("train", "dev")]
    spoken = spoken_takes(work / "speech")
    chosen = sample_evenly(pool, count, seed)
    if nonsense:
        chosen += sample_evenly(swapped(SWAPS, seed), nonsense, seed)
    missing = [take for take in takes(chosen, least) if (take[0].id, take[1]) not in spoken]
    speak_lines(work, [line for take in missing for line in lines(take, seed)], processes)


def speak_lines(work: Path, said: Sequence[Line], processes: int) -> None:
    """Speak `said` into new shards of `work/speech`."""
    from tqdm import tqdm

    folder = work / "speech"
    folder.mkdir(parents=True, exist_ok=True)
    first = 1 + max((int(path.stem) for path in folder.glob("*.json")), default=-1)
    shards = [list(said[start : start + SHARD_LINES]) for start in range(0, len(said), SHARD_LINES)]
    todo = [(folder / f"{number:04d}.npz", shard) for number, shard in enumerate(shards, first)]
    with multiprocessing.get_context("spawn").Pool(processes) as workers:
        for _ in tqdm(workers.imap(speak_shard, todo), total=len(todo), desc="speech shards"):
            pass


def spoken_takes(folder: Path) -> set[tuple[str, int]]:
    """Phrase and number of the takes in whole shards; what an interrupted run left half-done is removed."""
    found: set[tuple[str, int]] = set()
    for path in folder.glob("*.json"):
        if any(path.with_suffix(suffix).exists() for suffix in SHARD_SUFFIXES):
            rows = json.loads(path.read_text(encoding="utf-8"))
            found.update((row["phrase"], row.get("take", 0)) for row in rows)
        else:
            path.unlink()
    return found


def sample_evenly(pool: list[Phrase], count: int, seed: int) -> list[Phrase]:
    """At most `count` phrases, round-robin over the templates so that small templates are not drowned."""
    rng = random.Random(seed)
    by_template: dict[str, list[Phrase]] = {}
    for phrase in pool:
        by_template.setdefault(phrase.template, []).append(phrase)
    queues = [rng.sample(group, len(group)) for group in by_template.values()]
    chosen: list[Phrase] = []
    while queues and len(chosen) < count:
        chosen += [queue.pop() for queue in queues]
        queues = [queue for queue in queues if queue]
    rng.shuffle(chosen := chosen[:count])
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"), help="folder of the run")
    parser.add_argument("--phrases", type=int, default=9000, help="how many phrase pairs to speak")
    parser.add_argument("--swapped", type=int, default=3000, help="how many sentences with swapped words besides")
    parser.add_argument("--least", type=int, default=LEAST, help="utterances of every template (rare ones: more takes)")
    parser.add_argument("--known", action="store_true", help="only what codes.parquet lists and has no sound")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    a = parser.parse_args()
    counts = {"count": a.phrases, "nonsense": a.swapped, "least": a.least}
    with stated_errors():
        if a.known:
            speak_lines(a.work, known_lines(a.work), a.processes)
        else:
            synthesise(a.work, **counts, seed=a.seed, processes=a.processes)


if __name__ == "__main__":
    main()
