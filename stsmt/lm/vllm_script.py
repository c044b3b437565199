"""`Sampling.script` and `Sampling.run_limit` inside vLLM, whose own process loads this class by its name."""

from collections.abc import Mapping
from functools import partial
from itertools import chain
from typing import Any

import torch
from torch import Tensor
from vllm import SamplingParams
from vllm.v1.sample.logits_processor import AdapterLogitsProcessor

from stsmt.lm import Sampling
from stsmt.lm.script import follow, in_run

KEY = "stsmt"  # of `SamplingParams.extra_args`


def wishes(sampling: Sampling) -> dict[str, Any]:
    """What of `sampling` vLLM does not know, as `SamplingParams.extra_args`."""
    names = ("script", "run_limit", "temperature", "stop")
    return {KEY: {name: getattr(sampling, name) for name in names} | {"scripted": [*chain(*sampling.scripted)]}}


class ScriptProcessor(AdapterLogitsProcessor):
    """Lets requests follow their script and leave their runs."""

    def is_argmax_invariant(self) -> bool:
        return False

    def new_req_logits_processor(self, params: SamplingParams) -> "partial[Tensor] | None":
        given = (params.extra_args or {}).get(KEY)
        if given is None or not (given["script"] or given["run_limit"]):
            return None
        return partial(_changed, given, frozenset(given["scripted"]))


def _changed(given: Mapping[str, Any], scripted: frozenset[int], made: list[int], logits: Tensor) -> Tensor:
    """The request's logits [V] after the ids `made`."""
    if given["script"]:
        done = sum(id in scripted for id in made)
        following = given["script"][done] if done < len(given["script"]) else None
        logits = follow(logits, torch.tensor(sorted(scripted), device=logits.device), following, given["stop"])
    # vLLM divides by the temperature afterwards.
    return logits * given["temperature"] if in_run(made, given["run_limit"]) else logits
