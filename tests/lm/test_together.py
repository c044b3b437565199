"""Conversations share passes, and nobody notices."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event

import pytest
import torch

from stsmt.lm.lfm2 import Decoder, State
from stsmt.lm.together import Together
from tests.tiny import tiny_lm

MODEL = tiny_lm(384)
THREADS = 6


class Watched(Decoder):
    """Notes how many conversations each pass had; the first one lasts until `go`."""

    def __init__(self) -> None:
        super().__init__(MODEL, 1024)
        self.sizes, self.begun, self.go = list[int](), Event(), Event()

    def read(self, state: State, ids: Sequence[int]) -> None:
        if state.ids:
            self._note(1)
        super().read(state, ids)

    def read_each(self, states: Sequence[State], ids: Sequence[int]) -> None:
        self._note(len(states))
        super().read_each(states, ids)

    def _note(self, size: int) -> None:
        self.sizes.append(size)
        self.begun.set()
        assert self.go.wait(60)


def started(decoder: Decoder, id: int) -> State:
    state = decoder.start()
    decoder.read(state, [id, 2, 3])
    return state


def test_who_comes_during_a_pass_shares_the_next_one() -> None:
    decoder = Watched()
    together, states = Together(decoder), [started(decoder, id) for id in range(THREADS)]
    with ThreadPoolExecutor(THREADS) as pool:
        reads = [pool.submit(together.read, states[0], [7])]
        assert decoder.begun.wait(60)
        reads += [pool.submit(together.read, state, [7]) for state in states[1:]]
        while len(together._waiting) < THREADS - 1:
            pass
        decoder.go.set()
        for read in reads:
            read.result(60)
    assert decoder.sizes == [1, THREADS - 1]
    for id, state in enumerate(states):
        alone = started(Decoder(MODEL, 1024), id)
        Decoder(MODEL, 1024).read(alone, [7])
        assert torch.allclose(state.hidden, alone.hidden, atol=1e-5) and state.ids == [id, 2, 3, 7]


def test_a_pass_waits_for_all_that_talk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stsmt.lm.together.PATIENCE", 60)
    decoder = Watched()
    decoder.go.set()
    together, begin = Together(decoder), Barrier(THREADS)

    def talk(id: int) -> None:
        state = started(decoder, id)
        with together.conversation():
            begin.wait(60)
            for _ in range(10):
                together.read(state, [7])

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(talk, range(THREADS)))
    assert decoder.sizes == [THREADS] * 10


def test_who_talks_but_is_busy_with_something_else_is_not_waited_for() -> None:
    decoder = Decoder(MODEL, 1024)
    together, state = Together(decoder), started(decoder, 1)
    with together.conversation():
        for _ in range(3):
            together.read(state, [7])
    with together.conversation(), together.conversation():  # as of a visitor whose sound is being decoded
        together.read(state, [7])
    assert state.ids == [1, 2, 3, 7, 7, 7, 7]


def test_many_threads_read_what_each_would_alone() -> None:
    together = Together(Decoder(MODEL, 1024))
    begin = Barrier(THREADS)

    def talk(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
        ids = torch.randint(384, (40,), generator=torch.Generator().manual_seed(seed)).tolist()
        state, alone = State(len(MODEL.model.layers)), State(len(MODEL.model.layers))
        begin.wait(60)
        for id in ids:
            together.read(state, [id])
        Decoder(MODEL, 1024).read(alone, ids)
        return state.hidden, alone.hidden

    with ThreadPoolExecutor(THREADS) as pool:
        for shared, alone in pool.map(talk, range(THREADS)):
            assert torch.allclose(shared, alone, atol=1e-4)


def test_an_error_reaches_its_thread_and_the_next_pass_is_sound() -> None:
    decoder = Decoder(MODEL, 1024)
    together, state = Together(decoder), started(decoder, 1)
    with pytest.raises(IndexError):
        together.read(state, [10**6])
    together.read(state, [7])
    assert state.ids == [1, 2, 3, 7]
