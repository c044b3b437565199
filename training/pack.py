"""From utterance codes to packed batches of token ids.

Examples are drawn by task weights, rendered by `stsmt.prompt`, and packed several to a row *exactly*: LFM2's short
convolutions look back over `conv_L_cache - 1` tokens, so that many separator positions with zeroed embeddings stand
between examples, and positions restart, which isolates attention. Packed and separate losses are equal (tested).
"""

import random
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

import pyarrow.parquet as pq
import torch
from torch import Tensor

from stsmt.errors import UserError
from stsmt.example import LANGUAGES, SILENCE, Cue, Example, Language, Mode, Task, cue_name, other_language
from stsmt.prompt import PromptFormat
from training.augment import CodeJitter
from training.guide import PhoneLabels, Span
from training.loading import Batch
from training.phrasebook.grammar import Phrase
from training.speech import key_of
from training.voices import VOICES, voices

IGNORE = -100
PHONES_FILE = "phones.parquet"  # sentences with their phones and without sound
T = TypeVar("T")


def in_range(ids: Tensor, wanted: range) -> Tensor:
    """Which of `ids` are in `wanted`."""
    return (ids >= wanted.start) & (ids < wanted.stop)


Utterance = dict[str, Any]  # a row of codes.parquet
SAID = ("tts", "chain", "direct")  # tasks whose answers are spoken
SPOKEN = (*SAID, "plan")  # … or would be


@dataclass(frozen=True)
class Mixture:
    """How often each task is drawn (any positive weights).

    `plan` is direct translation up to its reading: what is hard about it, at half of its length. `spell` is any task
    from phones or to phones, without sound. `raw` is unlabelled speech or text for pre-training.
    """

    stt: float = 0.0
    tts: float = 0.0
    mt: float = 0.0
    chain: float = 0.0
    direct: float = 0.0
    plan: float = 0.0
    spell: float = 0.0
    raw: float = 0.0

    def blend(self, other: "Mixture", share: float) -> "Mixture":
        """This mixture moved towards `other` by `share` of the way."""
        return Mixture(**{k: (1 - share) * v + share * getattr(other, k) for k, v in vars(self).items()})


class ByTemplate(Generic[T]):
    """Things in groups, one per template, drawn by the square root of the groups' sizes: large templates would drown
    the others, and what is heard of a rare one would be taken for the beginning of a frequent one.
    """

    def __init__(self, things: Iterable[tuple[str, T]]) -> None:
        groups: dict[str, list[T]] = defaultdict(list)
        for template, thing in things:
            groups[template].append(thing)
        self._groups = list(groups.values())
        self._weights = list(accumulate(len(group) ** 0.5 for group in self._groups))

    def __bool__(self) -> bool:
        return bool(self._groups)

    def draw(self, rng: random.Random) -> T:
        return rng.choice(rng.choices(self._groups, cum_weights=self._weights)[0])


class PairSource:
    """Draws examples from the utterances of one split, seeded and by template.

    `texts` are phrases without sound for text translation (the grammar has many more than were spoken), `silent` are
    rows with phones and without sound for `spell`. `jitter` changes what is heard.
    """

    def __init__(
        self,
        rows: Sequence[Utterance],
        seed: int,
        texts: Sequence[Phrase] = (),
        jitter: CodeJitter | None = None,
        silent: Sequence[Utterance] = (),
    ) -> None:
        self.rng, self.jitter = random.Random(seed), jitter
        self.texts = ByTemplate((phrase.template, phrase) for phrase in texts)
        pairs = pair_up(rows)
        self.pairs = by_template(pairs)
        self.said = by_template(pair for pair in pairs if any(row["cues"] for side in pair.values() for row in side))
        self.silent = by_template(pair_up([row | {"cues": None} for row in silent])) or self.pairs

    def reseed(self, seed: int) -> "PairSource":
        """The same examples in another order."""
        other = copy(self)
        other.rng = random.Random(seed)
        return other

    def draw(self, task: str) -> Example:
        """A random phrase in a random direction as an example of `task` (a field of `Mixture`)."""
        source_language = self.rng.choice(LANGUAGES)
        if task == "mt" and self.texts:
            return text_example(self.texts.draw(self.rng), source_language)
        if task == "spell":
            sides = self.silent.draw(self.rng)
            return silent_example(sides[source_language][0], sides[other_language(source_language)][0], self.rng)
        pairs = self.said if task in SAID and self.said else self.pairs
        sides = pairs.draw(self.rng)
        source = self.rng.choice(sides[source_language])
        target = self.rng.choice(sides[other_language(source_language)])
        return make_example(task, source, target, self.rng, self.jitter)

    def draw_raw(self) -> tuple[str, tuple[int, ...] | None]:
        """(text, None) or ("", codes) of a random utterance."""
        sides = self.pairs.draw(self.rng)
        row = self.rng.choice(sides[self.rng.choice(LANGUAGES)])
        return (row["text"], None) if self.rng.random() < 0.3 else ("", tuple(row["codes"]))


Pair = dict[Language, list[Utterance]]


def pair_up(rows: Iterable[Utterance]) -> list[Pair]:
    """The utterances of every phrase that there is in both languages."""
    found: dict[str, Pair] = defaultdict(lambda: {"ja": [], "en": []})
    for row in rows:
        found[row["phrase"]][row["language"]].append(row)
    return [pair for pair in found.values() if all(pair.values())]


def by_template(pairs: Iterable[Pair]) -> ByTemplate[Pair]:
    """Pairs in groups of their templates."""
    return ByTemplate((pair["ja"][0]["template"], pair) for pair in pairs)


SPELLING = 0.35  # of the examples without sound: the first step of most tasks
MISHEARD = 0.06  # of the phones, in half of the examples


def mishear(phones: Sequence[str], rng: random.Random) -> tuple[str, ...]:
    """Phones as a tired listener has them: some are others of the same sentence, some are missing."""
    share = rng.choice((0.0, MISHEARD))
    kept = [rng.choice(phones) if rng.random() < share else phone for phone in phones if rng.random() > share / 2]
    return tuple(kept or phones)


def silent_example(source: Utterance, target: Utterance, rng: random.Random) -> Example:
    """Spell, translate or plan from phones that are given, or say how a text is pronounced."""
    said, asked = source["language"], target["language"]
    if rng.random() < SPELLING:
        heard = mishear(phones_of(source), rng)
        return Example(Task.STT, said, said, source_text=source["text"], source_codes=(), source_phones=heard)
    kind = rng.choice(("tts", Mode.CHAIN, *[Mode.DIRECT] * 3))  # the hardest three times
    if kind == "tts":
        voice, text = rng.choice(voices(said, "target")).name, source["text"]
        return Example(Task.TTS, said, said, voice=voice, source_text=text, target_cues=cues_of(source))
    known = (
        rng.choice(voices(asked, "target")).name,
        source["text"],
        (),
        mishear(phones_of(source), rng),
        target["text"],
    )
    return Example(Task.STS, said, asked, Mode(kind), *known, target_cues=cues_of(target))


def text_example(phrase: Phrase, source_language: Language) -> Example:
    """Text translation of a phrase out of `source_language`."""
    target_language = other_language(source_language)
    source, target = getattr(phrase, source_language), getattr(phrase, target_language)
    return Example(Task.MT, source_language, target_language, source_text=source, target_text=target)


def make_example(
    task: str, source: Utterance, target: Utterance, rng: random.Random, jitter: CodeJitter | None = None
) -> Example:
    """One training example; what a source-only voice says or has no cues is never a target: such a draw becomes STT.
    A plan ends before the speech and needs no cues."""
    if task == "tts":
        target = source
    if (task in SAID and not target["cues"]) or (task in SPOKEN and VOICES[target["voice"]].role != "target"):
        task = "stt"
    heard = source["augmented"] if source.get("augmented") is not None and rng.random() < 0.5 else source["codes"]
    if jitter is not None:
        heard = jitter(heard, rng).tolist()
    said, asked, phones = source["language"], target["language"], phones_of(source)
    if task == "stt":
        known = {"source_text": source["text"], "source_codes": tuple(heard), "source_phones": phones}
        return Example(Task.STT, said, said, **known)
    if task == "mt":
        return Example(Task.MT, said, asked, source_text=source["text"], target_text=target["text"])
    voice, codes, cues = target["voice"], tuple(target["codes"]), cues_of(target)
    if task == "tts":
        text = target["text"]
        return Example(Task.TTS, asked, asked, voice=voice, source_text=text, target_codes=codes, target_cues=cues)
    mode = Mode.CHAIN if task == "chain" else Mode.DIRECT
    spoken, texts = None if task == "plan" else codes, (source["text"], target["text"])
    return Example(Task.STS, said, asked, mode, voice, texts[0], tuple(heard), phones, texts[1], spoken, cues)


def phones_of(row: Utterance) -> tuple[str, ...]:
    """The names of an utterance's phones."""
    return tuple(cue_name(row["language"], phone) for phone in row["phones"].split())


def cues_of(row: Utterance) -> tuple[Cue, ...]:
    """The cues of an utterance: at 0 and wherever a phone begins, the name of the next; all at 0 if it has none."""
    names = (*phones_of(row), SILENCE)
    return tuple(zip(row["cues"] or [0] * len(names), names, strict=True))


def read_codes(work: Path, split: str) -> list[Utterance]:
    """Rows of `work/codes.parquet` of a split.

    Raises:
        UserError: if there are no codes.
    """
    file = work / "codes.parquet"
    if not file.exists():
        raise UserError(f"There is no {file}; training.tokenise makes it, or training.export --restore.")
    return pq.read_table(file, filters=[("split", "=", split)]).to_pylist()


def read_aligned(work: Path, split: str) -> list[Utterance]:
    """Rows of `work/codes.parquet` of a split, each with its `cues` from `work/cues.parquet` (None if it has none).

    Raises:
        UserError: if `training.align` has not been run since the codes were made.
    """
    file = work / "cues.parquet"
    found = pq.read_table(file).to_pylist() if file.exists() else []
    cues = {key_of(row): row["cues"] for row in found if "voice" in row}
    rows = read_codes(work, split)
    if any(key_of(row) not in cues for row in rows):
        raise UserError(f"{file} is missing or older than the codes; run python -m training.align --work {work} first.")
    return [row | {"cues": cues[key_of(row)]} for row in rows]


def read_silent(work: Path) -> list[Utterance]:
    """Rows of `work/phones.parquet`; none if `training.pronounce` has not been run."""
    file = work / PHONES_FILE
    return pq.read_table(file).to_pylist() if file.exists() else []


@dataclass(frozen=True)
class Packed(Batch):
    """A batch [B, T]: ids, `keep` (0 at separators and padding), positions, labels (already shifted), loss weights.

    `spans` are the runs of speech whose phones are known.
    """

    ids: Tensor
    keep: Tensor
    positions: Tensor
    labels: Tensor
    weights: Tensor
    spans: list[Span] = field(default_factory=list, kw_only=True)


class Item(NamedTuple):
    """A rendered example: token ids, 1 where the loss is, and its runs of speech with known phones."""

    ids: list[int]
    mask: list[int]
    spans: list[Span] = []  # noqa: RUF012 - never changed


MOST_FORGOTTEN = 0.4  # of an answer's codes or words
WAITING = 6  # examples kept aside while a row is filled: the more, the fuller the rows


class Packer:
    """Fills rows of `length` tokens with rendered examples; an example that does not fit waits for a later row.

    With `forgetting`, a share of the answer, another one in every example, is not seen by what follows (embeddings are
    zeroed; word dropout, Bowman et al. 2016): of a spoken answer its codes, so that the next one is read from the text;
    of a written one its words, so that the next one is heard. Otherwise both are recognised from sentences that were
    learnt by heart.
    """

    def __init__(
        self,
        prompt: PromptFormat,
        *,
        rows: int,
        length: int,
        separators: int,
        speech_weight: float,
        phones: PhoneLabels | None = None,
        forgetting: random.Random | None = None,
    ) -> None:
        self.prompt, self.rows, self.length = prompt, rows, length
        self.separators, self.speech_weight, self.phones = separators, speech_weight, phones
        self.forgetting = forgetting
        self._waiting: list[Item] = []

    def batch(self, source: PairSource, mixture: Mixture) -> Packed:
        """One batch drawn from `source`."""
        rows = [self._row(source, mixture) for _ in range(self.rows)]
        columns = zip(*(self.lay_out(items) for items in rows), strict=True)
        spans = [span for number, items in enumerate(rows) for span in self._place_spans(items, number)]
        return Packed(*(torch.stack(column) for column in columns), spans=spans)

    def _place_spans(self, items: Sequence[Item], row: int) -> Iterator[Span]:
        at = 0
        for item in items:
            for span in item.spans:
                yield replace(span, start=at + span.start, stop=at + span.stop, row=row)
            at += self._size(item)

    def _draw(self, source: PairSource, mixture: Mixture) -> Item:
        names, weights = zip(*vars(mixture).items(), strict=True)
        task = source.rng.choices(names, weights)[0]
        if task == "raw":
            return self.render_raw(*source.draw_raw())
        return self.render(source.draw(task))

    def render(self, example: Example) -> Item:
        """An example with the loss on its answer."""
        rendered = self.prompt.render(example)
        spans = self.phones.find(self.prompt, example, rendered.ids) if self.phones else []
        return Item(rendered.ids, rendered.loss_mask, spans)

    def render_raw(self, text: str, codes: tuple[int, ...] | None) -> Item:
        """Unlabelled speech or text with the loss on everything."""
        content = self.prompt.encode_text(text) if codes is None else self.prompt.render_speech(codes)
        return Item([self.prompt.beginning, *content, self.prompt.end_of_turn], [0] + [1] * (len(content) + 1))

    def _row(self, source: PairSource, mixture: Mixture) -> list[Item]:
        items: list[Item] = []
        room = self.length
        while True:
            while len(self._waiting) < WAITING:
                item = self._draw(source, mixture)
                if self._size(item) <= self.length:  # longer than a row: left out, never cut
                    self._waiting.append(item)
            fitting = next((item for item in self._waiting if self._size(item) <= room), None)
            if fitting is None:
                return items
            self._waiting.remove(fitting)
            items.append(fitting)
            room -= self._size(fitting)

    def _size(self, item: Item) -> int:
        return len(item.ids) + self.separators

    def lay_out(self, items: Sequence[Item]) -> list[Tensor]:
        """Tensors [length] of one row: ids, keep, positions, labels, weights."""
        ids = torch.zeros(self.length, dtype=torch.long)
        keep, weights = torch.zeros(self.length), torch.zeros(self.length)
        positions, labels = torch.zeros(self.length, dtype=torch.long), torch.full((self.length,), IGNORE)
        at, speech = 0, self.prompt.speech_ids
        for tokens, mask, _ in items:
            size = len(tokens)
            row = torch.tensor(tokens)
            ids[at : at + size], keep[at : at + size] = row, self._seen(tokens, mask)
            positions[at : at + size + self.separators] = torch.arange(size + self.separators)
            wanted = torch.where(torch.tensor(mask)[1:] == 1, row[1:], IGNORE)
            labels[at : at + size - 1] = wanted
            weights[at : at + size - 1] = torch.where(in_range(wanted, speech), self.speech_weight, 1.0) * (
                wanted != IGNORE
            )
            at += size + self.separators
        positions[at:] = torch.arange(self.length - at)
        return [ids, keep, positions, labels, weights]

    def _seen(self, tokens: Sequence[int], mask: Sequence[int]) -> Tensor:
        """1 where a token may be seen, [T]."""
        if self.forgetting is None:
            return torch.ones(len(tokens))
        share, draw, speech = self.forgetting.uniform(0, MOST_FORGOTTEN), self.forgetting.random, self.prompt.speech_ids
        answer = {token for token, wanted in zip(tokens, mask, strict=True) if wanted}
        spoken = any(token in speech for token in answer)
        forgotten = {token for token in answer if (token in speech if spoken else token not in self.prompt.marker_ids)}
        hidden = [wanted and token in forgotten and draw() < share for token, wanted in zip(tokens, mask, strict=True)]
        return 1.0 - torch.tensor(hidden, dtype=torch.float32)
