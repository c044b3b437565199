"""Who waits for whom: decisions are taken one after another, sound is decoded beside them."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from stsmt.audio import Audio
from stsmt.listening.events import EventLog, read_events
from stsmt.listening.items import Side
from stsmt.listening.protocol import ListeningTest
from tests.listening.corpus import Corpus, Stage

SECONDS = 20.0  # after which something that waits is taken to wait for ever


@dataclass
class Interrupted(Corpus):
    """Calls `meanwhile` once, when the first sound is decoded."""

    meanwhile: Callable[[], object] | None = None

    def audio(self, pair_id: str, side: Side) -> Audio:
        if self.meanwhile is not None:
            action, self.meanwhile = self.meanwhile, None
            action()
        return super().audio(pair_id, side)


def test_nobody_waits_for_the_sound_of_another(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=(corpus := Interrupted(4))).open()
    one, other = stage.rater("simulated 1"), stage.rater("simulated 2")
    decoding, may_go_on = threading.Event(), threading.Event()

    def block() -> None:
        decoding.set()
        assert may_go_on.wait(SECONDS)

    corpus.meanwhile = block
    slow = threading.Thread(target=stage.test.next, args=[one])
    slow.start()
    assert decoding.wait(SECONDS)
    quick = threading.Thread(target=stage.rate, args=[other])
    quick.start()
    quick.join(SECONDS)
    waited = quick.is_alive()
    may_go_on.set()
    slow.join()
    quick.join()
    assert not waited
    assert len(stage.test.ratings()) == 1


def test_who_decodes_more_slowly_gets_what_is_still_free(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=(corpus := Interrupted(2))).open(overlap=1)
    one, other = stage.rater("simulated 1"), stage.rater("simulated 2")
    corpus.meanwhile = lambda: stage.served(other)
    mine = stage.served(one)
    (theirs,) = (event for event in read_events(tmp_path)[0] if event.kind == "serve" and event.rater == other)
    assert stage.item_of(mine).id != theirs.data["item"]["id"]


def test_pairs_sent_to_the_test_are_written_alone_and_are_there_after_a_restart(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=Corpus(30)).open(pair_ids=[f"p{i}" for i in range(20)])
    assert stage.test.add(["p3", "p25", "p25"]) == 1
    (extended,) = (event for event in read_events(tmp_path)[0] if event.kind == "extend")
    assert [item["id"] for item in extended.data["items"]] == ["rating:p25"]
    again = Stage(tmp_path, corpus=stage.corpus, clock=stage.clock)
    again.test = ListeningTest(stage.corpus, EventLog(tmp_path, clock=stage.clock))
    assert [item.id for item in again.test.plan.items][-1] == "rating:p25" and len(again.test.plan.items) == 21


def test_pairs_for_a_round_that_is_over_change_nothing(tmp_path: Path) -> None:
    stage = Stage(tmp_path, corpus=Corpus(4)).open(pair_ids=["p0"])
    stage.test.add(["p1"])
    stage.open(name="round-2", pair_ids=["p2"])
    assert [item.id for item in stage.test.plan.items] == ["rating:p2"]
