"""The bundled corpus: `python -m training.demo_corpus --codes runs/codes.parquet -o assets/corpus/pairs.parquet`.

Takes utterances of the phrasebook as pairs in both directions and spoils about a tenth of them in known ways, so that
filters and raters have something to find. What was done to a pair stands in the column `planted`, which neither the
index nor the listening test reads.
"""

import argparse
import random
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stsmt.corpus.pairs import Pair, Utterance, pair_id, pairs_table, write_table
from stsmt.example import LANGUAGES, Language
from training.voices import VOICES

CODES_PER_SECOND = 50
DEFECT_SHARE = 0.1
ORIGIN = "stsmt phrasebook, synthetic voices"
LICENCES = {"openjtalk": "CC BY 3.0 (mei)", "flite": "BSD-like (CMU)", "espeak": "espeak-ng output"}
COLUMNS = ["phrase", "template", "split", "language", "voice", "text", "codes"]
Row = dict[str, Any]


@dataclass(frozen=True)
class Phrase:
    """The utterances of one phrase."""

    id: str
    template: str
    split: str
    sides: dict[Language, Row]


@dataclass(frozen=True)
class Donors:
    """Phrases that lend a pair of the same split another phrase's words or sound."""

    phrases: Sequence[Phrase]
    rng: random.Random

    def other(self, pair: Pair, voice: str | None = None) -> Utterance:
        """Another phrase in the target's language, by `voice` if given, of about the same length."""
        language, split = pair.target.language, pair.split
        fitting = [
            phrase.sides[language]
            for phrase in self.phrases
            if phrase.split == split
            and phrase.sides[language]["text"] != pair.target.text
            and voice in (None, phrase.sides[language]["voice"])
            and is_target(phrase.sides[language])
        ]
        few = self.rng.sample(fitting, min(20, len(fitting)))
        return utterance(min(few, key=lambda row: abs(len(row["codes"]) - len(pair.target.codes))))


# -- defects: each takes a sound pair and gives its spoiled target ---------------------------------------------------


def wrong_translation(pair: Pair, donors: Donors) -> Utterance:
    """Words and sound of another phrase."""
    return donors.other(pair)


def swapped_audio(pair: Pair, donors: Donors) -> Utterance:
    """The right words over the sound of another phrase, by the same voice."""
    return with_codes(pair.target, donors.other(pair, pair.target.voice).codes)


def loop(pair: Pair, donors: Donors) -> Utterance:
    """A piece of the sound repeats until it is about twice as long."""
    codes, rng = pair.target.codes, donors.rng
    start, size = rng.randrange(len(codes) // 4, len(codes) // 2), rng.randrange(6, 25)
    piece = codes[start : start + size]
    return with_codes(pair.target, codes[: start + size] + piece * max(4, len(codes) // len(piece)))


def truncation(pair: Pair, donors: Donors) -> Utterance:
    """The sound ends in the middle."""
    codes = pair.target.codes
    return with_codes(pair.target, codes[: round(len(codes) * donors.rng.uniform(0.3, 0.6))])


def noise(pair: Pair, donors: Donors) -> Utterance:
    """Random codes from some point on."""
    codes, rng = pair.target.codes, donors.rng
    start = rng.randrange(len(codes) // 2)
    return with_codes(pair.target, codes[:start] + tuple(rng.randrange(4096) for _ in codes[start:]))


def wrong_language(pair: Pair, donors: Donors) -> Utterance:
    """The translation is written, but the source is spoken again."""
    return with_codes(pair.target, pair.source.codes)


DEFECTS: dict[str, Callable[[Pair, Donors], Utterance]] = {
    defect.__name__: defect for defect in (wrong_translation, swapped_audio, loop, truncation, noise, wrong_language)
}


# -- pairs -----------------------------------------------------------------------------------------------------------


def read_phrases(codes: Path) -> list[Phrase]:
    """All phrases that are spoken in both languages, at least once by a voice that models speak."""
    by_phrase: dict[str, dict[Language, Row]] = defaultdict(dict)
    for row in pq.read_table(codes, columns=COLUMNS).to_pylist():
        by_phrase[row["phrase"]].setdefault(row["language"], row)  # the first take
    whole = ((key, sides) for key, sides in by_phrase.items() if len(sides) == len(LANGUAGES))
    found = (Phrase(key, sides["ja"]["template"], sides["ja"]["split"], sides) for key, sides in whole)
    return [phrase for phrase in found if any(map(is_target, phrase.sides.values()))]


def is_target(row: Row) -> bool:
    """Whether a voice speaks that models speak too."""
    return VOICES[row["voice"]].role == "target"


def choose(phrases: Sequence[Phrase], n: int, rng: random.Random) -> list[Phrase]:
    """`n` phrases, spread over the templates as evenly as they allow."""
    by_template: dict[str, list[Phrase]] = defaultdict(list)
    for phrase in rng.sample(phrases, len(phrases)):
        by_template[phrase.template].append(phrase)
    ranked = [(rank, rng.random(), phrase) for group in by_template.values() for rank, phrase in enumerate(group)]
    return [phrase for _, _, phrase in sorted(ranked, key=lambda item: item[:2])[:n]]


def utterance(row: Row) -> Utterance:
    codes = tuple(row["codes"])
    engine = VOICES[row["voice"]].engine
    return Utterance(row["text"], row["language"], row["voice"], codes, len(codes) / CODES_PER_SECOND, engine)


def with_codes(side: Utterance, codes: Sequence[int]) -> Utterance:
    return replace(side, codes=tuple(codes), seconds=len(codes) / CODES_PER_SECOND)


def make_pair(phrase: Phrase, source: Language) -> Pair:
    """The phrase out of `source`, or the other way where only that ends in a voice that models speak."""
    first, second = (utterance(phrase.sides[language]) for language in (source, *(x for x in LANGUAGES if x != source)))
    if VOICES[str(second.voice)].role != "target":
        first, second = second, first
    licence = "; ".join(dict.fromkeys(LICENCES[str(side.model)] for side in (first, second)))
    provenance = {"origin": ORIGIN, "licence": licence, "template": phrase.template}
    return Pair(pair_id(first, second), first, second, phrase.split, provenance)


def demo_pairs(phrases: Sequence[Phrase], n: int, seed: int) -> tuple[list[Pair], list[str | None]]:
    """`n` pairs in a random order, and what is wrong with each."""
    rng = random.Random(seed)
    pairs = [make_pair(phrase, LANGUAGES[i % 2]) for i, phrase in enumerate(choose(phrases, n, rng))]
    rng.shuffle(pairs)
    planted: list[str | None] = [None] * len(pairs)
    donors = Donors(phrases, rng)
    for i, place in enumerate(sorted(rng.sample(range(len(pairs)), round(DEFECT_SHARE * len(pairs))))):
        name = list(DEFECTS)[i % len(DEFECTS)]
        target = DEFECTS[name](pairs[place], donors)
        pairs[place] = replace(pairs[place], target=target, id=pair_id(pairs[place].source, target))
        planted[place] = name
    return pairs, planted


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--codes", type=Path, required=True, help="the codes.parquet that training.tokenise wrote")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("-n", type=int, default=1920, help="pairs (default: 1920)")
    parser.add_argument("--seed", type=int, default=0)
    a = parser.parse_args()
    pairs, planted = demo_pairs(read_phrases(a.codes), a.n, a.seed)
    write_table(a.output, pairs_table(pairs, {}).append_column("planted", pa.array(planted, pa.string())))


if __name__ == "__main__":
    main()
