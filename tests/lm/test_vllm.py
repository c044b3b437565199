"""Both engines must say the same (`make test-vllm`: vLLM lives in an environment of its own)."""

import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from stsmt.lm import LM, Sampling, load_lm

pytestmark = pytest.mark.vllm

PROMPTS = ([5], [5, 17, 230, 41, 8, 99, 12], list(range(20, 60)))
TEXT, SPEECH = range(30, 250), range(300, 330)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random LFM2 whose heads are wide enough (32) for vLLM's CPU attention."""
    import torch
    from transformers import Lfm2Config, Lfm2ForCausalLM

    torch.manual_seed(0)
    config = Lfm2Config(
        vocab_size=384,
        hidden_size=128,
        intermediate_size=128,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "conv", "full_attention", "conv"],
        block_multiple_of=8,
        conv_dim=128,  # vLLM reads these two, which transformers' own config does not have
        block_dim=128,
        max_position_embeddings=256,
        initializer_range=0.2,  # so that inputs matter
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    folder = tmp_path_factory.mktemp("vllm")
    Lfm2ForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def transformers_lm(checkpoint: Path) -> LM:
    return load_lm(checkpoint, "transformers")


@pytest.fixture(scope="module")
def vllm_lm(checkpoint: Path) -> Iterator[LM]:
    os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")  # GiB; the default is a large share of the memory
    lm = load_lm(checkpoint, "vllm")
    yield lm
    lm.close()  # type: ignore[attr-defined]


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
@pytest.mark.parametrize("allowed", [(TEXT,), (SPEECH,), (TEXT, SPEECH)], ids=["text", "speech", "both"])
def test_greedy_ids_are_equal(transformers_lm: LM, vllm_lm: LM, prompt: list[int], allowed: tuple[range, ...]) -> None:
    sampling = Sampling(allowed=allowed, stop=7, max_new_tokens=24)
    expected, found = (list(lm.generate(prompt, sampling)) for lm in (transformers_lm, vllm_lm))
    assert [token.id for token in found] == [token.id for token in expected]
    assert [t.log_probability for t in found] == pytest.approx([t.log_probability for t in expected], abs=1e-3)


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_the_stop_token_is_the_last(transformers_lm: LM, vllm_lm: LM, prompt: list[int]) -> None:
    free = Sampling(allowed=(TEXT,), stop=7, max_new_tokens=24)
    third = list(transformers_lm.generate(prompt, free))[2].id
    below, above = range(TEXT.start, third), range(third + 1, TEXT.stop)
    sampling = Sampling(allowed=(below, above), stop=third, max_new_tokens=24)
    expected, found = ([t.id for t in lm.generate(prompt, sampling)] for lm in (transformers_lm, vllm_lm))
    assert found == expected
    assert found[-1] == third and len(found) <= 3


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_the_next_probabilities_are_equal(transformers_lm: LM, vllm_lm: LM, prompt: list[int]) -> None:
    candidates = [40, 41, 305, 7]
    expected, found = (lm.next_log_probabilities(prompt, candidates) for lm in (transformers_lm, vllm_lm))
    assert found == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_a_script_is_followed_alike(transformers_lm: LM, vllm_lm: LM, prompt: list[int]) -> None:
    script, cues = (325, 321, 325, 322), range(320, 330)
    sampling = Sampling(allowed=(SPEECH,), stop=7, max_new_tokens=40, script=script, scripted=(cues,))
    expected, found = ([t.id for t in lm.generate(prompt, sampling)] for lm in (transformers_lm, vllm_lm))
    assert found == expected
    followed = tuple(id for id in found if id in cues)
    assert followed == script[: len(followed)] and (7 not in found or followed == script)


@pytest.mark.parametrize("prompt", PROMPTS, ids=len)
def test_beams_find_the_same_answer(transformers_lm: LM, vllm_lm: LM, prompt: list[int]) -> None:
    sampling = Sampling(allowed=(TEXT,), stop=7, max_new_tokens=12, min_new_tokens=4, beams=3)
    expected, found = (list(lm.generate(prompt, sampling)) for lm in (transformers_lm, vllm_lm))
    assert [t.id for t in found] == [t.id for t in expected]
    assert [t.log_probability for t in found] == pytest.approx([t.log_probability for t in expected], abs=1e-3)


def test_requests_with_and_without_a_script_share_a_batch(vllm_lm: LM) -> None:
    free = Sampling(allowed=(SPEECH,), stop=7, max_new_tokens=30, temperature=1.0, seed=3)
    bound = replace(free, script=(325, 321), scripted=(range(320, 330),))
    alone = [[t.id for t in vllm_lm.generate(PROMPTS[1], sampling)] for sampling in (free, bound)]
    with ThreadPoolExecutor(2) as pool:
        together = pool.map(lambda sampling: [t.id for t in vllm_lm.generate(PROMPTS[1], sampling)], (free, bound))
    assert list(together) == alone


def test_sampling_stays_among_the_allowed_ids(vllm_lm: LM) -> None:
    sampling = Sampling(allowed=(SPEECH,), stop=7, max_new_tokens=40, temperature=1.0, top_k=20, seed=3)
    first, second = ([t.id for t in vllm_lm.generate(PROMPTS[1], sampling)] for _ in range(2))
    assert first == second, "the seed decides"
    assert set(first) <= {*SPEECH, 7}
