"""`Sampling.script` inside vLLM, whose own process loads this class by its name."""

from functools import partial

import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from stsmt.lm.script import follow

KEY = "stsmt_script"  # of `SamplingParams.extra_args`: {"script": ids, "scripted": ids, "stop": id}


class ScriptProcessor(AdapterLogitsProcessor):
    """Lets requests that have a script follow it."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> "partial[Tensor] | None":
        given = (params.extra_args or {}).get(KEY)
        if given is None:
            return None
        return partial(_followed, given["script"], frozenset(given["scripted"]), given["stop"])


def _followed(script: list[int], scripted: frozenset[int], stop: int, made: list[int], logits: Tensor) -> Tensor:
    """The request's logits [V] after the ids `made`."""
    done = sum(id in scripted for id in made)
    following = script[done] if done < len(script) else None
    return follow(logits, torch.tensor(sorted(scripted), device=logits.device), following, stop)
