"""The transformers engine: a decode loop over the weights of an `Lfm2ForCausalLM`, in process, on CPU or GPU.

The output matrix is cut to the rows that a phase allows, so most of its cost disappears, and the states of the last
calls are kept: ids that extend one continue from there, so the fields of an answer cost no second prefill.
"""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from threading import Lock
from typing import Any

import torch

from stsmt.checkpoint import load_weights
from stsmt.lm import Sampling, Token
from stsmt.lm.beam import Beam, search
from stsmt.lm.lfm2 import Decoder, State
from stsmt.lm.script import follow, in_run
from stsmt.lm.together import Together

KEPT = 8  # states of ended calls, each the memory of a conversation: for each that goes on, but so many at least


class _Head:
    """The rows of the output matrix for some allowed ids and the stop id, which comes last."""

    def __init__(self, weight: torch.Tensor, allowed: tuple[range, ...], stop: int) -> None:
        first, last = allowed[0].start, allowed[-1].stop
        within = torch.cat([torch.arange(r.start, r.stop) for r in allowed]) - first
        self._rows, self._stop_row = weight[first:last], weight[stop : stop + 1]  # views, no copies
        self._within = None if len(within) == last - first else within.to(weight.device)
        self.ids: list[int] = [*(within + first).tolist(), stop]
        self._positions = {id: position for position, id in enumerate(self.ids)}
        self._scripted: dict[tuple[range, ...], tuple[frozenset[int], torch.Tensor]] = {}

    def logits(self, hidden: torch.Tensor) -> torch.Tensor:
        """[allowed + 1] in float32."""
        allowed = torch.mv(self._rows, hidden)
        if self._within is not None:
            allowed = allowed[self._within]
        return torch.cat([allowed, torch.mv(self._stop_row, hidden)]).float()

    def follow(self, logits: torch.Tensor, made: Sequence[int], sampling: Sampling) -> None:
        """Let the script of `sampling` decide which of its ids may come, in place."""
        if sampling.scripted not in self._scripted:
            ids = frozenset(chain(*sampling.scripted))
            positions = torch.tensor([self._positions[id] for id in ids], device=self._rows.device)
            self._scripted[sampling.scripted] = (ids, positions)
        ids, positions = self._scripted[sampling.scripted]
        done = sum(id in ids for id in made)
        following = self._positions[sampling.script[done]] if done < len(sampling.script) else None
        follow(logits, positions, following, len(self.ids) - 1)

    def penalise(self, logits: torch.Tensor, recent: Sequence[int], penalty: float) -> None:
        """Subtract `penalty` for each occurrence in `recent`, in place."""
        positions = torch.tensor([self._positions[id] for id in recent], device=logits.device)
        logits.index_add_(0, positions, torch.full((len(recent),), -penalty, device=logits.device))


class TransformersLM:
    """An `Lfm2ForCausalLM` behind the `LM` protocol; calls from several threads do not disturb one another."""

    def __init__(self, model: Any, context: int) -> None:
        self._decoder, self.context = Decoder(model, context), context
        self._together = Together(self._decoder)
        self._output: torch.Tensor = model.lm_head.weight.detach()  # [vocabulary, hidden]
        self.vocab_size: int = model.config.vocab_size
        self._heads: dict[tuple[tuple[range, ...], int], _Head] = {}
        self._lock = Lock()
        self._kept = deque[State]()  # of the last calls; a running call owns its state alone

    def generate(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        return self._search(ids, sampling) if sampling.beams > 1 else self._continue(ids, sampling)

    def _continue(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        head = self._head(sampling)
        random = torch.Generator(self._output.device).manual_seed(sampling.seed)
        state, new, made = self._take(ids), list(ids), list[int]()
        new = new[len(state.ids) :]
        try:
            with self._together.conversation():
                while len(made) < sampling.max_new_tokens:
                    self._together.read(state, new)
                    token = self._sample(head, state.hidden, made, sampling, random)
                    made.append(token.id)
                    new = [token.id]
                    yield token
                    if token.id == sampling.stop:
                        return
        finally:
            self._keep(state)

    def _search(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        head, start = self._head(sampling), self._take(ids)

        def extend(beams: Sequence[Beam[State]]) -> list[tuple[State, list[Token]]]:
            states = self._grow(beams)
            may_stop = len(beams[0].tokens) >= sampling.min_new_tokens
            return [(state, self._likeliest(head, state.hidden, sampling.beams, may_stop)) for state in states]

        with self._together.conversation():
            self._together.read(start, ids[len(start.ids) :])
            best = search(start, extend, sampling)
        self._keep(best.state)
        yield from best.tokens

    def _grow(self, beams: Sequence[Beam[State]]) -> list[State]:
        """The states of `beams` with the last token of each read; of beams that share a state, one takes it over."""
        taken, states = set[int](), list[State]()
        for beam in beams:
            states.append(beam.state.copy() if id(beam.state) in taken else beam.state)
            taken.add(id(beam.state))
        if last := [beam.tokens[-1].id for beam in beams if beam.tokens]:
            self._together.read_each(states, last)
        return states

    def next_log_probabilities(self, ids: Sequence[int], candidates: Sequence[int]) -> list[float]:
        state = self._take(ids)
        self._together.read(state, ids[len(state.ids) :])
        self._keep(state)
        with torch.inference_mode():
            rows = self._output[torch.tensor(list(candidates), device=self._output.device)]
            logits = torch.mv(rows, state.hidden).float()
            return torch.log_softmax(logits, dim=0).tolist()

    def _head(self, sampling: Sampling) -> _Head:
        key = (sampling.allowed, sampling.stop)
        if key not in self._heads:
            self._heads[key] = _Head(self._output, *key)
        return self._heads[key]

    def _take(self, ids: Sequence[int]) -> State:
        """A state that `ids` strictly extend (what a convolution has seen cannot be unseen), else a new one."""
        with self._lock:  # two threads must not get the same state
            for state in reversed(self._kept):
                if len(ids) > len(state.ids) and list(ids[: len(state.ids)]) == state.ids:
                    self._kept.remove(state)
                    return state
        return self._decoder.start()

    def _keep(self, state: State) -> None:
        with self._lock:
            self._kept.append(state)
            while len(self._kept) > max(KEPT, 2 * self._together.talking):
                self._kept.popleft()

    @torch.inference_mode()
    def _likeliest(self, head: _Head, hidden: torch.Tensor, count: int, may_stop: bool) -> list[Token]:
        logits = head.logits(hidden)
        logits = logits if may_stop else logits[:-1]
        values, positions = torch.log_softmax(logits, dim=0).topk(min(count + 1, len(logits)))
        return [Token(head.ids[p], v) for v, p in zip(values.tolist(), positions.tolist(), strict=True)]

    @torch.inference_mode()
    def _sample(
        self, head: _Head, hidden: torch.Tensor, made: list[int], sampling: Sampling, random: torch.Generator
    ) -> Token:
        logits = head.logits(hidden)
        if sampling.script:
            head.follow(logits, made, sampling)
        if len(made) < sampling.min_new_tokens:
            logits[-1] = -torch.inf
        if sampling.frequency_penalty and made:
            head.penalise(logits, made[-sampling.repetition_window :], sampling.frequency_penalty)
        if in_run(made, sampling.run_limit):
            sampling = replace(sampling, temperature=1.0)
        chosen = _choose(logits, sampling, random)
        return Token(head.ids[chosen], float(logits[chosen] - torch.logsumexp(logits, dim=0)))


def _choose(logits: torch.Tensor, sampling: Sampling, random: torch.Generator) -> int:
    """A position in `logits` [n]."""
    if sampling.temperature == 0:
        return int(torch.argmax(logits))
    values, positions = torch.topk(logits, min(sampling.top_k or len(logits), len(logits)))
    probabilities = torch.softmax(values / sampling.temperature, dim=0)  # descending
    if sampling.top_p < 1:
        before = probabilities.cumsum(0) - probabilities
        probabilities = probabilities.where(before < sampling.top_p, 0)
    return int(positions[torch.multinomial(probabilities, 1, generator=random)])


def load(folder: Path, device: str, context: int) -> TransformersLM:
    """Read the weights: float32 on the CPU, whose bfloat16 kernels for one row are slower, else bfloat16.

    Raises:
        UserError: if they are missing, incomplete or corrupt.
    """
    from transformers import Lfm2ForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    dtype = torch.float32 if device == "cpu" else torch.bfloat16
    model = load_weights(Lfm2ForCausalLM, folder, "language model", dtype=dtype)
    return TransformersLM(model.to(device).eval(), context)
