"""The vLLM engine: the same protocol, in process, for many requests at once on a GPU.

vLLM gets and gives token ids only. Its frequency penalty counts the whole answer, not a window of it.
"""

import asyncio
import queue
import threading
import uuid
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

from stsmt.checkpoint import loading
from stsmt.errors import UserError
from stsmt.lm import Sampling, Token
from stsmt.lm.beam import Beam, search

# float32 as the transformers engine. vLLM 0.32's own CPU kernel for rotary positions turns only the first of LFM2's
# heads, and eager mode would choose it: plausible words, wrong ones.
ON_CPU: dict[str, Any] = {
    "dtype": "float32",
    "enforce_eager": True,
    "compilation_config": {"custom_ops": ["all", "-rotary_embedding"]},
}


class VLLM:
    """An `AsyncLLM` whose event loop lives in a thread of its own, so that threads share one batch."""

    def __init__(self, make_engine: Any, vocab_size: int, context: int) -> None:
        self.vocab_size, self.context = vocab_size, context
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="vllm", daemon=True).start()
        self._engine = asyncio.run_coroutine_threadsafe(_call(make_engine), self._loop).result()

    def generate(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        return self._search(ids, sampling) if sampling.beams > 1 else self._stream(ids, _parameters(sampling))

    def _search(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        async def step(beams: Sequence[Beam[None]]) -> list[tuple[None, list[Token]]]:
            parameters = _step(sampling, may_stop=len(beams[0].tokens) >= sampling.min_new_tokens)
            begun = ([*ids, *(token.id for token in beam.tokens)] for beam in beams)
            outputs = await asyncio.gather(*(_last(self._request(each, parameters)) for each in begun))
            return [(None, _ranked(output)) for output in outputs]

        def extend(beams: Sequence[Beam[None]]) -> list[tuple[None, list[Token]]]:
            return asyncio.run_coroutine_threadsafe(step(beams), self._loop).result()

        best = search(None, extend, sampling)
        yield from best.tokens

    def next_log_probabilities(self, ids: Sequence[int], candidates: Sequence[int]) -> list[float]:
        from vllm import SamplingParams

        parameters = SamplingParams(
            max_tokens=1,
            temperature=1.0,
            allowed_token_ids=list(candidates),
            logprobs=len(candidates),
            detokenize=False,
        )
        output = asyncio.run_coroutine_threadsafe(_last(self._request(ids, parameters)), self._loop).result()
        found = output.outputs[0].logprobs[0]
        return [found[id].logprob for id in candidates]

    def close(self) -> None:
        """Stop the engine and its thread."""
        self._engine.shutdown()
        self._loop.call_soon_threadsafe(self._loop.stop)

    def _request(self, ids: Sequence[int], parameters: Any) -> AsyncIterator[Any]:
        return self._engine.generate({"prompt_token_ids": list(ids)}, parameters, str(uuid.uuid4()))

    def _stream(self, ids: Sequence[int], parameters: Any) -> Iterator[Token]:
        tokens: queue.SimpleQueue[Token | Exception | None] = queue.SimpleQueue()
        task = asyncio.run_coroutine_threadsafe(_forward(self._request(ids, parameters), tokens), self._loop)
        try:
            while (token := tokens.get()) is not None:
                if isinstance(token, Exception):
                    raise token
                yield token
        finally:
            task.cancel()  # a reader that leaves early aborts the request


async def _call(function: Any) -> Any:
    return function()


async def _last(outputs: AsyncIterator[Any]) -> Any:
    return [output async for output in outputs][-1]


async def _forward(outputs: AsyncIterator[Any], tokens: "queue.SimpleQueue[Token | Exception | None]") -> None:
    try:
        async for output in outputs:
            part = output.outputs[0]
            for id, probabilities in zip(part.token_ids, part.logprobs, strict=True):
                tokens.put(Token(id, probabilities[id].logprob))
        tokens.put(None)
    except Exception as error:  # the reader is in another thread: hand it over instead of losing it
        tokens.put(error)


def _ranked(output: Any) -> list[Token]:
    """The likeliest tokens of a single step."""
    found = output.outputs[0].logprobs[0]
    return [Token(id, each.logprob) for id, each in sorted(found.items(), key=lambda pair: -pair[1].logprob)]


def _step(sampling: Sampling, may_stop: bool) -> Any:
    """One token, and what else it could be; the cache of prefixes makes that a step of beam search."""
    from vllm import SamplingParams

    allowed = [*chain(*sampling.allowed), *([sampling.stop] if may_stop else [])]
    return SamplingParams(
        max_tokens=1,
        temperature=0.0,
        allowed_token_ids=allowed,
        logprobs=min(sampling.beams + 1, len(allowed)),
        detokenize=False,
    )


def _parameters(sampling: Sampling) -> Any:
    from vllm import SamplingParams
    from vllm.sampling_params import RequestOutputKind

    from stsmt.lm.vllm_script import wishes

    return SamplingParams(
        temperature=sampling.temperature,
        top_k=sampling.top_k,
        top_p=sampling.top_p,
        frequency_penalty=sampling.frequency_penalty,
        max_tokens=sampling.max_new_tokens,
        min_tokens=min(sampling.min_new_tokens, sampling.max_new_tokens),
        seed=sampling.seed,
        stop_token_ids=[sampling.stop],
        allowed_token_ids=[*chain(*sampling.allowed), sampling.stop],
        logprobs=0,  # the chosen token's only
        detokenize=False,
        ignore_eos=True,
        extra_args=wishes(sampling),
        output_kind=RequestOutputKind.DELTA,
    )


def load(folder: Path, device: str, context: int) -> VLLM:
    """Start the engine on `folder`; vLLM itself finds the device.

    Raises:
        UserError: if vLLM is not installed or refuses the checkpoint.
    """
    try:
        from vllm.engine.arg_utils import AsyncEngineArgs
        from vllm.v1.engine.async_llm import AsyncLLM
    except ImportError:
        raise UserError("vLLM is not installed; install it or choose the engine transformers.") from None
    arguments = AsyncEngineArgs(
        model=str(folder),
        skip_tokenizer_init=True,
        max_model_len=context,
        logprobs_mode="processed_logprobs",  # among the allowed ids, as the protocol says
        logits_processors=["stsmt.lm.vllm_script:ScriptProcessor"],
        **(ON_CPU if device == "cpu" else {}),
    )
    with loading(folder, "language model"):
        from transformers import AutoConfig

        vocab_size = AutoConfig.from_pretrained(folder, local_files_only=True).vocab_size
        return VLLM(lambda: AsyncLLM.from_engine_args(arguments), vocab_size, context)
