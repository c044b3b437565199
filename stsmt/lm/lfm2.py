"""The forward pass of LFM2 for one conversation at a time, with the weights of an `Lfm2ForCausalLM`.

The same arithmetic as transformers' modules (LFM2 technical report, Liquid AI 2025, arXiv:2511.23404; the tests compare
the two), without what a token by itself does not need: projections of the same input are one matrix, matrices are
kept transposed (one row times such a matrix takes half the time on a CPU), keys and values are written into one buffer.
For a small model on a CPU, where a call costs as much as its arithmetic, a token takes a third of the time.
"""

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

FIRST_ROOM = 512  # positions that keys and values have room for at first; doubled whenever it is used up


class State:
    """What the model remembers of the ids that it has read, and the hidden state [hidden] after the last of them."""

    def __init__(self, layers: int) -> None:
        self.ids = list[int]()
        self.hidden = torch.empty(0)
        self.memories: Sequence[Tensor | None] = [None] * layers

    def copy(self) -> "State":
        """Another one that remembers the same."""
        other = State(0)
        other.ids, other.hidden = list(self.ids), self.hidden
        other.memories = [None if memory is None else memory.clone() for memory in self.memories]
        return other


class _Linear:
    """x [n, in] → [n, out]; the outputs of several modules side by side."""

    def __init__(self, *modules: Any) -> None:
        self._weight = torch.cat([module.weight for module in modules]).detach().T.contiguous()
        biases = [module.bias for module in modules if module.bias is not None]
        self._bias = torch.cat(biases).detach() if biases else None

    def __call__(self, x: Tensor) -> Tensor:
        return x @ self._weight if self._bias is None else torch.addmm(self._bias, x, self._weight)


class _Norm:
    """Root mean square norm of rows (Zhang and Sennrich 2019, arXiv:1910.07467)."""

    def __init__(self, module: Any) -> None:
        self._weight, self._eps = module.weight.detach(), module.variance_epsilon

    def __call__(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self._weight.shape, self._weight, self._eps)


class _Operator(Protocol):
    """What mixes positions: x [n, hidden] after `start` positions, which `memory` keeps, → (output, new memory).

    `each` does that for n conversations at once, one row and one position of each.
    """

    def __call__(self, x: Tensor, memory: Tensor | None, start: int) -> tuple[Tensor, Tensor]: ...
    def each(self, x: Tensor, memories: Sequence[Tensor], starts: Sequence[int]) -> tuple[Tensor, Sequence[Tensor]]: ...


class _Attention:
    """Grouped-query attention with normed and rotated queries and keys; `turns` are cosines and sines by position."""

    def __init__(self, module: Any, turns: tuple[Tensor, Tensor]) -> None:
        self._in, self._out = _Linear(module.q_proj, module.k_proj, module.v_proj), _Linear(module.out_proj)
        self._size, self._group, self._turns = module.head_dim, module.num_key_value_groups, turns
        self._queries = module.q_proj.weight.shape[0] // self._size
        self._keys = self._queries // self._group
        norms = [module.q_layernorm.weight] * self._queries + [module.k_layernorm.weight] * self._keys
        self._norms, self._eps = torch.stack(norms).detach(), module.q_layernorm.variance_epsilon

    def __call__(self, x: Tensor, memory: Tensor | None, start: int) -> tuple[Tensor, Tensor]:
        stop = start + len(x)
        queries, pairs = self._heads(x, slice(start, stop))
        memory = _with_room(memory, stop, pairs[:1])
        memory[start:stop] = pairs
        return self._out(self._attend(queries, memory[:stop], start)), memory

    def each(self, x: Tensor, memories: Sequence[Tensor], starts: Sequence[int]) -> tuple[Tensor, Sequence[Tensor]]:
        queries, pairs = self._heads(x, list(starts))
        memories = [_with_room(memory, start + 1, pairs[:1]) for memory, start in zip(memories, starts, strict=True)]
        mixed = []
        for query, pair, memory, start in zip(queries, pairs, memories, starts, strict=True):
            memory[start] = pair
            mixed.append(self._attend(query[None], memory[: start + 1], start))
        return self._out(torch.cat(mixed)), memories

    def _heads(self, x: Tensor, positions: slice | list[int]) -> tuple[Tensor, Tensor]:
        """(queries [n, query heads, size], keys and values [n, 2 · key heads, size]) with rotary positions (Su et al.
        2021, arXiv:2104.09864) of normed queries and keys."""
        turning = self._queries + self._keys
        heads = self._in(x).view(len(x), -1, self._size)
        cosines, sines = (table[positions] for table in self._turns)
        normed = F.rms_norm(heads[:, :turning], (self._size,), None, self._eps) * self._norms
        turned = normed * cosines + normed.roll(self._size // 2, -1) * sines
        return turned[:, : self._queries], torch.cat([turned[:, self._queries :], heads[:, turning:]], 1)

    def _attend(self, queries: Tensor, memory: Tensor, start: int) -> Tensor:
        """[n, queries · size]. One position sees everything, so the queries of a group are rows of one matrix."""
        n, (keys, values) = len(queries), memory.transpose(0, 1).split(self._keys)
        if n == 1:
            grouped = queries.view(1, -1, self._group, self._size)
            return F.scaled_dot_product_attention(grouped, keys[None], values[None]).reshape(1, -1)
        seen = torch.ones(n, start + n, dtype=torch.bool, device=queries.device).tril(start)
        mixed = F.scaled_dot_product_attention(
            queries.transpose(0, 1)[None], keys[None], values[None], attn_mask=seen, enable_gqa=True
        )
        return mixed[0].transpose(0, 1).reshape(n, -1)


def _with_room(memory: Tensor | None, positions: int, row: Tensor) -> Tensor:
    """`memory` [room, heads, size], or a larger copy of it, with room for `positions` rows like `row`."""
    if memory is not None and len(memory) >= positions:
        return memory
    room = max(FIRST_ROOM, 2 * positions)
    larger = row.new_empty(room, *row.shape[1:])
    if memory is not None:
        larger[: len(memory)] = memory
    return larger


class _Convolution:
    """The gated short convolution; its memory is what the next position still sees."""

    def __init__(self, module: Any) -> None:
        self._in, self._out = _Linear(module.in_proj), _Linear(module.out_proj)
        self._kernel, self._bias = module.conv.weight.detach()[:, 0], module.conv.bias  # [hidden, width]

    def __call__(self, x: Tensor, memory: Tensor | None, start: int) -> tuple[Tensor, Tensor]:
        before, after, value = self._in(x).chunk(3, -1)
        hidden, width = self._kernel.shape
        memory = x.new_zeros(width - 1, hidden) if memory is None else memory
        seen = torch.cat([memory, before * value])
        return self._mix(after, seen.unfold(0, width, 1)), seen[len(x) :]

    def each(self, x: Tensor, memories: Sequence[Tensor], starts: Sequence[int]) -> tuple[Tensor, Sequence[Tensor]]:
        before, after, value = self._in(x).chunk(3, -1)
        seen = torch.cat([torch.stack(list(memories)), (before * value)[:, None]], 1)
        return self._mix(after, seen.transpose(1, 2)), seen[:, 1:].unbind()

    def _mix(self, after: Tensor, seen: Tensor) -> Tensor:
        """Output [n, hidden] of what each position sees [n, hidden, width]."""
        mixed = (seen * self._kernel).sum(-1)
        if self._bias is not None:
            mixed = mixed + self._bias
        return self._out(after * mixed)


class _Layer:
    def __init__(self, module: Any, turns: tuple[Tensor, Tensor]) -> None:
        attends = module.is_attention_layer
        self.operator: _Operator = _Attention(module.self_attn, turns) if attends else _Convolution(module.conv)
        self.operator_norm, self.norm = _Norm(module.operator_norm), _Norm(module.ffn_norm)
        self._in = _Linear(module.feed_forward.w1, module.feed_forward.w3)
        self._out = _Linear(module.feed_forward.w2)

    def feed_forward(self, x: Tensor) -> Tensor:
        gate, value = self._in(x).chunk(2, -1)
        return self._out(F.silu(gate) * value)


class Decoder:
    """The layers of `model` (an `Lfm2ForCausalLM`, of which nothing but the embedding is kept) up to `context` ids."""

    def __init__(self, model: Any, context: int) -> None:
        self.embedding: Tensor = model.model.embed_tokens.weight.detach()  # [vocabulary, hidden]
        turns = _turns(model.model.rotary_emb, context, self.embedding)
        self._layers = [_Layer(layer, turns) for layer in model.model.layers]
        self._norm = _Norm(model.model.embedding_norm)

    def start(self) -> State:
        """The state before the first id."""
        return State(len(self._layers))

    @torch.inference_mode()
    def read(self, state: State, ids: Sequence[int]) -> None:
        """Take `ids`, at least one, into `state`."""
        x, start = self.embedding[torch.tensor(ids, device=self.embedding.device)], len(state.ids)
        memories = []
        for layer, memory in zip(self._layers, state.memories, strict=True):
            mixed, memory = layer.operator(layer.operator_norm(x), memory, start)
            x = x + mixed
            x = x + layer.feed_forward(layer.norm(x))
            memories.append(memory)
        state.hidden, state.memories = self._norm(x[-1:])[0], memories
        state.ids.extend(ids)

    @torch.inference_mode()
    def read_each(self, states: Sequence[State], ids: Sequence[int]) -> None:
        """Take one id into each of several states, none of which is empty: a matrix is fetched from memory once."""
        x = self.embedding[torch.tensor(ids, device=self.embedding.device)]
        starts = [len(state.ids) for state in states]
        found = []
        for layer, *memories in zip(self._layers, *(state.memories for state in states), strict=True):
            mixed, memories = layer.operator.each(layer.operator_norm(x), memories, starts)
            x = x + mixed
            x = x + layer.feed_forward(layer.norm(x))
            found.append(memories)
        for state, id, hidden, *memories in zip(states, ids, self._norm(x), *found, strict=True):
            state.hidden, state.memories = hidden, memories
            state.ids.append(id)


def _turns(rotary: Any, context: int, like: Tensor) -> tuple[Tensor, Tensor]:
    """(cosines, sines) [context, 1, head size]; the first half of the sines is negated, which makes a rotation of
    halves a roll."""
    with torch.inference_mode():
        cosines, sines = rotary(like, torch.arange(context, device=like.device)[None])
    half = sines.shape[-1] // 2
    return cosines[0, :, None], torch.cat([-sines[0, :, None, :half], sines[0, :, None, half:]], -1)
