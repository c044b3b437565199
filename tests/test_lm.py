"""The engine samples from what is allowed and nothing else, and equals the plain model."""

import json
import math
import shutil
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stsmt.errors import UserError
from stsmt.lm import LM, Sampling, load_lm, load_tokenizer
from stsmt.lm.lfm2 import Decoder
from stsmt.lm.script import follow, in_run
from stsmt.lm.transformers import TransformersLM
from tests.tiny import tiny_lm

VOCABULARY = 400
STOP = 6
IDS = list(range(40, 80))
GREEDY = Sampling((range(300, 364),), STOP, max_new_tokens=30, min_new_tokens=30)
SAMPLED = replace(GREEDY, temperature=1.0, seed=1)
MODEL = tiny_lm(VOCABULARY)


@pytest.fixture
def lm() -> LM:
    return TransformersLM(MODEL, 1024)


def reference(ids: Sequence[int], allowed: list[int], count: int) -> tuple[list[int], list[float]]:
    """Greedy decoding by whole forward passes, no cache."""
    ids, scores = list(ids), []
    with torch.no_grad():
        for _ in range(count):
            logits = torch.log_softmax(MODEL(torch.tensor([ids])).logits[0, -1][allowed], 0)
            best = int(logits.argmax())
            ids.append(allowed[best])
            scores.append(float(logits[best]))
    return ids[-count:], scores


def ids_of(lm: LM, ids: Sequence[int], sampling: Sampling) -> list[int]:
    return [token.id for token in lm.generate(ids, sampling)]


def test_greedy_decoding_equals_whole_forward_passes(lm: LM) -> None:
    tokens = list(lm.generate(IDS, replace(GREEDY, max_new_tokens=12)))
    expected, scores = reference(IDS, list(range(300, 364)), 12)
    assert [token.id for token in tokens] == expected
    assert [token.log_probability for token in tokens] == pytest.approx(scores, abs=1e-2)  # the stop id counts there


def test_several_ranges_are_allowed_as_one_set(lm: LM) -> None:
    ranges = (range(10, 20), range(50, 52), range(390, 400))
    made = ids_of(lm, IDS, Sampling(ranges, STOP, 12, min_new_tokens=12))
    assert made == reference(IDS, [*range(10, 20), 50, 51, *range(390, 400)], 12)[0]


def test_only_allowed_ids_and_the_stop_id_come(lm: LM) -> None:
    ranges = (range(10, 12), range(398, 400))
    for seed in range(5):
        made = ids_of(lm, IDS, Sampling(ranges, STOP, 40, temperature=3.0, seed=seed))
        assert set(made) <= {10, 11, 398, 399, STOP}
        assert STOP not in made[:-1]


SPOKEN, CUES = range(300, 340), range(340, 364)
SCRIPT = (345, 341, 345, 363)
SCRIPTED = Sampling((SPOKEN, CUES), STOP, 200, temperature=1.0, script=SCRIPT, scripted=(CUES,))


def test_scripted_ids_come_in_the_order_of_the_script_and_the_stop_id_after_it(lm: LM) -> None:
    for seed in range(5):
        *made, last = ids_of(lm, IDS, replace(SCRIPTED, seed=seed))
        assert tuple(id for id in made if id in CUES) == SCRIPT
        assert last == STOP and STOP not in made


def test_the_script_says_which_id_comes_and_the_model_when(lm: LM) -> None:
    logits = torch.randn(10)
    free = torch.softmax(logits, 0)
    scripted = torch.tensor([4, 5, 6])
    bound = torch.softmax(follow(logits.clone(), scripted, 5, stop=9), 0)
    assert bound[5] / bound[0] == pytest.approx(float(free[4:7].sum() / free[0]), rel=1e-4)
    assert bound[4] == bound[6] == bound[9] == 0
    over = torch.softmax(follow(logits.clone(), scripted, None, stop=9), 0)
    assert float(over[4:7].sum()) == 0 and over[9] / over[0] == pytest.approx(float(free[9] / free[0]), rel=1e-4)


def test_a_run_of_equal_ids_is_left_at_temperature_one(lm: LM) -> None:
    assert in_run([1, 7, 7, 7], 3) and not in_run([7, 1, 7, 7], 3) and not in_run([7, 7], 3) and not in_run([7], 0)
    sharp = Sampling((range(300, 320),), STOP, 60, min_new_tokens=60, temperature=1e-6)
    before = ids_of(lm, IDS, sharp)
    end = next(i for i in range(60) if in_run(before[:i], 3))  # of the first run of three
    after = [ids_of(lm, IDS, replace(sharp, run_limit=3, seed=seed)) for seed in range(8)]
    assert all(made[:end] == before[:end] for made in after)
    assert len({made[end] for made in after}) > 1


def test_what_is_not_scripted_is_chosen_as_before_until_something_scripted_would_come(lm: LM) -> None:
    free = ids_of(lm, IDS, replace(GREEDY, allowed=(SPOKEN, CUES)))
    bound = ids_of(lm, IDS, replace(GREEDY, allowed=(SPOKEN, CUES), script=SCRIPT, scripted=(CUES,)))
    first = next(i for i, id in enumerate(bound) if id in CUES)
    assert bound[:first] == free[:first]


def test_the_stop_token_is_the_last_and_the_cap_ends_without_it(lm: LM) -> None:
    ends = [ids_of(lm, IDS, Sampling((range(10, 12),), STOP, 60, temperature=2.0, seed=seed)) for seed in range(5)]
    assert all(made[-1] == STOP for made in ends)
    capped = ids_of(lm, IDS, replace(SAMPLED, max_new_tokens=7))
    assert len(capped) == 7 and STOP not in capped


def test_a_call_that_extends_the_last_one_equals_a_fresh_one(lm: LM) -> None:
    made = ids_of(lm, IDS, GREEDY)
    longer = [*IDS, *made, 5, 9, 12]
    fresh = TransformersLM(MODEL, 1024)
    first, second = list(lm.generate(longer, GREEDY)), list(fresh.generate(longer, GREEDY))
    assert [token.id for token in first] == [token.id for token in second]
    assert [t.log_probability for t in first] == pytest.approx([t.log_probability for t in second], abs=1e-4)


def test_continuing_costs_no_prefill(lm: LM, monkeypatch: pytest.MonkeyPatch) -> None:
    widths: list[int] = []
    read = Decoder.read
    monkeypatch.setattr(Decoder, "read", lambda self, state, ids: widths.append(len(ids)) or read(self, state, ids))
    made = ids_of(lm, IDS, replace(GREEDY, max_new_tokens=3))
    lm.next_log_probabilities([*IDS, *made, 5], [7, 8])
    ids_of(lm, [*IDS, *made, 5, 9], replace(GREEDY, max_new_tokens=2))
    ids_of(lm, IDS, replace(GREEDY, max_new_tokens=1))  # shorter than what is cached: from the start
    assert widths == [40, 1, 1, 2, 1, 1, 40]


def test_answers_that_take_turns_go_on_without_prefill(lm: LM, monkeypatch: pytest.MonkeyPatch) -> None:
    others = [id + 50 for id in IDS]
    first, second = (ids_of(lm, ids, replace(GREEDY, max_new_tokens=3)) for ids in (IDS, others))
    widths: list[int] = []
    read = Decoder.read
    monkeypatch.setattr(Decoder, "read", lambda self, state, ids: widths.append(len(ids)) or read(self, state, ids))
    for ids, made in ((IDS, first), (others, second)):
        ids_of(lm, [*ids, *made, 5], replace(GREEDY, max_new_tokens=1))
    assert widths == [2, 2]


def test_leaving_early_does_not_spoil_the_next_call(lm: LM) -> None:
    tokens = lm.generate(IDS, GREEDY)
    next(tokens), next(tokens)
    del tokens
    assert ids_of(lm, IDS, GREEDY) == reference(IDS, list(range(300, 364)), 30)[0]


def test_the_seed_decides(lm: LM) -> None:
    assert ids_of(lm, IDS, SAMPLED) == ids_of(lm, IDS, SAMPLED)
    assert ids_of(lm, IDS, SAMPLED) != ids_of(lm, IDS, replace(SAMPLED, seed=2))


def test_sampling_follows_the_probabilities(lm: LM) -> None:
    allowed = list(range(300, 310))
    probabilities = [math.exp(p) for p in lm.next_log_probabilities(IDS, allowed)]
    one = Sampling((range(300, 310),), STOP, 1, min_new_tokens=1, temperature=1.0)
    counts = dict.fromkeys(allowed, 0)
    for seed in range(600):
        counts[ids_of(lm, IDS, replace(one, seed=seed))[0]] += 1
    for id, probability in zip(allowed, probabilities, strict=True):
        assert counts[id] / 600 == pytest.approx(probability, abs=0.08)


def test_top_k_and_top_p_cut_the_tail(lm: LM) -> None:
    probabilities = lm.next_log_probabilities(IDS, range(300, 364))
    ranked = sorted(range(300, 364), key=lambda id: -probabilities[id - 300])
    firsts = lambda **options: {  # noqa: E731
        ids_of(lm, IDS, replace(SAMPLED, max_new_tokens=1, min_new_tokens=1, seed=seed, **options))[0]
        for seed in range(60)
    }
    assert firsts(top_k=3, temperature=5.0) == set(ranked[:3])
    assert firsts(top_p=1e-6) == set(ranked[:1])


def test_a_frequency_penalty_breaks_repetition(lm: LM) -> None:
    two = Sampling((range(300, 302),), STOP, 40, min_new_tokens=40, repetition_window=1, frequency_penalty=100.0)
    made = ids_of(lm, IDS, two)
    assert all(made[i] != made[i + 1] for i in range(39))


def test_next_log_probabilities_are_among_the_candidates(lm: LM) -> None:
    candidates = [9, 5, 300]
    found = lm.next_log_probabilities(IDS, candidates)
    with torch.no_grad():
        logits = MODEL(torch.tensor([IDS])).logits[0, -1][candidates]
    assert found == pytest.approx(torch.log_softmax(logits, 0).tolist(), abs=1e-4)
    assert sum(map(math.exp, found)) == pytest.approx(1)


def test_threads_do_not_disturb_one_another(lm: LM) -> None:
    prompts = [list(range(start, start + 20)) for start in range(20, 60, 5)]
    alone = [ids_of(TransformersLM(MODEL, 1024), prompt, GREEDY) for prompt in prompts]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda prompt: ids_of(lm, prompt, GREEDY), prompts)) == alone


# -- loading ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tiny_checkpoint: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_checkpoint, tmp_path / "copy"))


def test_a_checkpoint_is_loaded(tiny_checkpoint: Path) -> None:
    lm, tokenizer = load_lm(tiny_checkpoint), load_tokenizer(tiny_checkpoint)
    assert lm.vocab_size == len(tokenizer)
    assert lm.context == 1024


def test_bf16_weights_run_in_float32_on_the_cpu(copy: Path) -> None:
    from transformers import Lfm2ForCausalLM

    Lfm2ForCausalLM.from_pretrained(copy).to(torch.bfloat16).save_pretrained(copy)
    lm = load_lm(copy)
    assert len(ids_of(lm, IDS, GREEDY)) == 30
    assert lm._output.dtype == torch.float32  # type: ignore[attr-defined]


def test_another_architecture_is_refused(copy: Path) -> None:
    config = json.loads((copy / "config.json").read_text())
    (copy / "config.json").write_text(json.dumps(config | {"model_type": "llama"}))
    with pytest.raises(UserError, match="'llama'; 'lfm2' is needed"):
        load_lm(copy)


def test_a_half_written_checkpoint_is_refused(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"language model in .* cannot be loaded"):
        load_lm(copy)
    weights.unlink()
    with pytest.raises(UserError, match=r"language model in .* cannot be loaded"):
        load_lm(copy)
    (copy / "config.json").write_text("{")
    with pytest.raises(UserError, match=r"config\.json .* not readable"):
        load_lm(copy)
    (copy / "tokenizer.json").write_text("{")
    with pytest.raises(UserError, match=r"tokenizer in .* cannot be loaded"):
        load_tokenizer(copy)


def test_missing_weights_are_not_drawn_at_random(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    weights = load_file(copy / "model.safetensors")
    del weights["model.layers.0.conv.in_proj.weight"]
    save_file(weights, copy / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match="incomplete: 1 weights are missing"):
        load_lm(copy)


def test_a_missing_folder_and_an_unknown_engine_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There is no checkpoint folder"):
        load_lm(tmp_path / "none")
    with pytest.raises(UserError, match="Unknown engine"):
        load_lm(tiny_checkpoint, "magic")


def test_a_hub_name_that_cannot_be_had_gets_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"nobody/nothing@v1 is neither a folder here nor to be had"):
        load_lm("nobody/nothing@v1")


def test_vllm_that_is_not_installed_is_named(tiny_checkpoint: Path) -> None:
    try:
        import vllm  # noqa: F401
    except ImportError:
        with pytest.raises(UserError, match="vLLM is not installed"):
            load_lm(tiny_checkpoint, "vllm")
