"""Conversations that wait for their next token at the same time share one forward pass.

For a small model on a CPU a pass fetches every weight from memory, whether for one conversation or for many: with
sixteen, a token costs a fourth (`python -m benchmarks.decoding`). After the continuous batching of
Orca (Yu et al. 2022, OSDI): conversations come and go between passes.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Condition, Event

from stsmt.lm.lfm2 import Decoder, State

PATIENCE = 0.003  # seconds; longer than choosing a token takes, shorter than a pass


@dataclass(eq=False)
class _Turn:
    """Ids to be read, one into each state. `woken`: they were read, or this thread is to do the next pass."""

    states: Sequence[State]
    ids: Sequence[int]
    woken: Event = field(default_factory=Event)
    read: bool = False
    error: BaseException | None = None


class Together:
    """`Decoder.read` and `read_each` for any number of threads, each with states of its own.

    The first one that comes does the pass for all. It waits for the other conversations as long as one after the other
    arrives, but not for those that are slow: they read a prompt, or play what they have.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._changed, self._waiting, self.talking, self._busy = Condition(), list[_Turn](), 0, False

    @contextmanager
    def conversation(self) -> Iterator[None]:
        """While it lasts, the others wait a little for this one."""
        with self._changed:
            self.talking += 1
        try:
            yield
        finally:
            with self._changed:
                self.talking -= 1
                self._changed.notify_all()

    def read(self, state: State, ids: Sequence[int]) -> None:
        """Take `ids`, at least one, into `state`."""
        if len(ids) > 1 or not state.ids:  # has rows enough of its own
            self._decoder.read(state, ids)
        else:
            self.read_each([state], ids)

    def read_each(self, states: Sequence[State], ids: Sequence[int]) -> None:
        """Take one id into each of `states`, the beams of one conversation."""
        turn = _Turn(states, ids)
        with self._changed:
            self._waiting.append(turn)
            self._changed.notify_all()
            leads, self._busy = not self._busy, True
        if not leads:
            turn.woken.wait()
        if not turn.read:
            self._lead()
        if turn.error is not None:
            raise turn.error

    def _lead(self) -> None:
        """One pass for all that wait; then whoever came meanwhile leads."""
        with self._changed:
            while len(self._waiting) < self.talking and self._changed.wait(PATIENCE):
                pass
            turns, self._waiting = self._waiting, []
        try:
            self._pass(turns)
        except BaseException as error:
            for turn in turns:
                turn.error = error
        for turn in turns:
            turn.read = True
            turn.woken.set()
        with self._changed:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].woken.set()

    def _pass(self, turns: Sequence[_Turn]) -> None:
        states = [state for turn in turns for state in turn.states]
        ids = [id for turn in turns for id in turn.ids]
        if len(states) == 1:
            self._decoder.read(states[0], ids)
        else:
            self._decoder.read_each(states, ids)
