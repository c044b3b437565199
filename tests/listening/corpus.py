"""A small corpus in memory, a clock that tests move, and raters who are plainly simulated."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from stsmt.audio import Audio
from stsmt.example import Language
from stsmt.listening.events import EventLog
from stsmt.listening.items import Side
from stsmt.listening.plan import make_plan
from stsmt.listening.protocol import ListeningTest, Shown
from stsmt.listening.state import Answer

RATE = 16000


@dataclass
class Corpus:
    """`count` pairs p0, p1 …: every other one from Japanese; conditions good and bad in turn; tones of `seconds`;
    all of the same sentence, so that any two from one language can be compared.
    """

    count: int = 6
    seconds: float = 1.0
    both_ways: bool = False

    def pair_ids(self) -> Iterable[str]:
        return [f"p{i}" for i in range(self.count)]

    def audio(self, pair_id: str, side: Side) -> Audio:
        t = np.arange(round(self.seconds * RATE)) / RATE
        pitch = 200 + 20 * _number(pair_id) + 7 * (side == "target")
        return Audio((0.1 * np.sin(2 * np.pi * pitch * t)).astype(np.float32), RATE)

    def text(self, pair_id: str, side: Side) -> str:
        return "the same sentence" if side == "source" else f"{pair_id} {side}"

    def language(self, pair_id: str, side: Side) -> Language:
        from_japanese = not (self.both_ways and _number(pair_id) % 2)
        return "ja" if from_japanese == (side == "source") else "en"

    def condition(self, pair_id: str) -> str:
        return ("good", "bad")[_number(pair_id) % 2]


def _number(pair_id: str) -> int:
    return int(pair_id.removeprefix("p"))


@dataclass
class Clock:
    """Time that passes only when it is told to."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now

    def wait(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class Stage:
    """A listening test on a folder, with its clock."""

    folder: Path
    clock: Clock = field(default_factory=Clock)
    corpus: Corpus = field(default_factory=Corpus)
    test: ListeningTest = field(init=False)

    def open(self, **plan: Any) -> "Stage":
        """Start the test; options go to `make_plan`."""
        quiet = {"gold_rate": 0.0, "trap_rate": 0.0, "anchor_rate": 0.0, "needs_check": False}
        pair_ids = plan.pop("pair_ids", list(self.corpus.pair_ids()))
        made = make_plan(self.corpus, plan.pop("name", "round-1"), pair_ids, **{**quiet, **plan})
        self.test = ListeningTest(self.corpus, EventLog(self.folder, clock=self.clock), made)
        return self

    def rater(self, name: str = "simulated", competence: str = "both") -> str:
        return self.test.join(name, competence, consent=True)[0].id

    def served(self, rater: str) -> Shown:
        shown = self.test.next(rater)
        assert shown is not None
        return shown

    def rate(self, rater: str, shown: Shown | None = None, score: int = 4, **given: Any) -> Shown:
        """Listen to everything, then answer all questions."""
        shown = shown or self.served(rater)
        self.clock.wait(sum(shown.seconds.values()))
        self.test.submit(rater, shown.id, answer(shown, score, **given), whole(shown))
        return shown

    def rate_all(self, rater: str, score: int = 4) -> int:
        """Until nothing is left; returns how many."""
        done = 0
        while (shown := self.test.next(rater)) is not None:
            self.rate(rater, shown, score)
            done += 1
        return done

    def item_of(self, shown: Shown) -> Any:
        return self.test._ledger.state.presentations[shown.id].item


def whole(shown: Shown) -> dict[str, list[list[float]]]:
    """The report of a player that played everything."""
    return {clip: [[0.0, seconds]] for clip, seconds in shown.seconds.items()}


def answer(shown: Shown, score: int = 4, **given: Any) -> Answer:
    """The same score on every scale, or the first target."""
    choice = given.pop("choice", "a")
    if shown.questions[0].startswith("preference"):
        return Answer(choice=choice, **given)
    return Answer(dict.fromkeys(shown.questions, score), **given)
