"""Conversations that wait for their next token at the same time share one forward pass.

For a small model on a CPU a pass fetches every weight from memory, whether for one conversation or for many: with
sixteen, a token costs a fourth (`python -m benchmarks.decoding --conversations 16`). After the continuous batching of
Orca (Yu et al. 2022, OSDI), a token at a time, nobody waits for anybody to arrive.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from threading import Event, Lock

from stsmt.lm.lfm2 import Decoder, State


@dataclass(eq=False)
class _Turn:
    """One id to be read into one state. `woken`: it was read, or this thread is to do the next pass."""

    state: State
    id: int
    woken: Event = field(default_factory=Event)
    read: bool = False
    error: BaseException | None = None


class Together:
    """`Decoder.read` for any number of threads, each with states of its own.

    Who comes while a pass is under way waits for the next one, which its first comer does for all.
    """

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        self._lock, self._waiting, self._busy = Lock(), list[_Turn](), False

    def read(self, state: State, ids: Sequence[int]) -> None:
        """Take `ids`, at least one, into `state`."""
        if len(ids) > 1 or not state.ids:  # has rows enough of its own
            self._decoder.read(state, ids)
            return
        turn = _Turn(state, ids[0])
        with self._lock:
            self._waiting.append(turn)
            leads, self._busy = not self._busy, True
        if not leads:
            turn.woken.wait()
        if not turn.read:
            self._lead()
        if turn.error is not None:
            raise turn.error

    def _lead(self) -> None:
        """One pass for all that wait; then whoever came meanwhile leads."""
        with self._lock:
            turns, self._waiting = self._waiting, []
        try:
            self._pass(turns)
        except BaseException as error:
            for turn in turns:
                turn.error = error
        for turn in turns:
            turn.read = True
            turn.woken.set()
        with self._lock:
            self._busy = bool(self._waiting)
            if self._waiting:
                self._waiting[0].woken.set()

    def _pass(self, turns: Sequence[_Turn]) -> None:
        if len(turns) == 1:
            self._decoder.read(turns[0].state, [turns[0].id])
        else:
            self._decoder.read_each([turn.state for turn in turns], [turn.id for turn in turns])
