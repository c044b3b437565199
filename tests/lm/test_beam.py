"""A beam search finds what is most probable as a whole, and the engine is as it was before."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product

import pytest
import torch

from stsmt.health import is_loop
from stsmt.lm import Sampling, Token
from stsmt.lm.beam import Beam, search
from stsmt.lm.transformers import TransformersLM
from tests.test_lm import IDS, MODEL, STOP

# What follows what, with natural-log probabilities: the likeliest first token leads to unlikely ones.
NEXT = {"": {1: -0.5, 2: -0.9}, "1": {3: -2.0, 0: -2.1}, "2": {3: -0.1, 0: -3.0}, "13": {0: -0.1}, "23": {0: -0.2}}
THREE = Sampling((range(300, 303),), STOP, max_new_tokens=3, min_new_tokens=3)


def follow(beams: Sequence[Beam[str]]) -> list[tuple[str, list[Token]]]:
    """One step through `NEXT`; the state is what was read."""
    read = ["".join(str(token.id) for token in beam.tokens) for beam in beams]
    return [(state, [Token(*pair) for pair in NEXT[state].items()]) for state in read]


def found(width: int, limit: int = 9) -> list[int]:
    return [token.id for token in search("", follow, Sampling((range(4),), 0, limit, beams=width)).tokens]


def circle(beams: Sequence[Beam[None]]) -> list[tuple[None, list[Token]]]:
    """After a 1 comes nearly surely another; only after an unlikely 2 comes the stop token 0."""
    surely, after = [Token(1, -0.01), Token(2, -5.0)], [Token(0, -0.1), Token(1, -3.0)]
    return [(None, after if beam.tokens and beam.tokens[-1].id == 2 else surely) for beam in beams]


def every(sampling: Sampling) -> Iterator[tuple[float, list[int]]]:
    """All continuations of `THREE`'s kind with their natural-log probabilities, by whole forward passes."""
    allowed = [*sampling.allowed[0], STOP]
    for ids in product(sampling.allowed[0], repeat=sampling.max_new_tokens):
        with torch.no_grad():
            logits = MODEL(torch.tensor([[*IDS, *ids]])).logits[0, len(IDS) - 1 : -1][:, allowed]
        logits[:, -1] = -torch.inf
        rows = torch.log_softmax(logits, -1)
        yield sum(float(row[allowed.index(id)]) for row, id in zip(rows, ids, strict=True)), list(ids)


def ids_of(lm: TransformersLM, ids: Sequence[int], sampling: Sampling) -> list[int]:
    return [token.id for token in lm.generate(ids, sampling)]


def test_one_beam_takes_the_likeliest_token_and_two_the_likeliest_answer() -> None:
    assert found(width=1) == [1, 3, 0]
    assert found(width=2) == [2, 3, 0]


def test_the_limit_ends_a_search_without_the_stop_token() -> None:
    assert found(width=2, limit=1) == [1]


def test_at_the_limit_an_answer_that_has_ended_is_better_than_a_likelier_one_that_has_not() -> None:
    assert found(width=2, limit=2) == [1, 0]


def test_a_beam_that_loops_gives_way_to_one_that_says_something() -> None:
    sampling = Sampling((range(1, 3),), 0, max_new_tokens=40, beams=1)
    assert [token.id for token in search(None, circle, sampling).tokens] == [1] * 40
    best = search(None, circle, replace(sampling, loop_minimum=16))
    assert [token.id for token in best.tokens] == [1] * 15 + [2, 0]


def test_where_every_beam_loops_the_likeliest_is_kept_and_known_by_its_loop() -> None:
    def only(beams: Sequence[Beam[None]]) -> list[tuple[None, list[Token]]]:
        return [(None, [Token(1, -0.1)]) for _ in beams]

    best = search(None, only, Sampling((range(1, 2),), 0, max_new_tokens=20, beams=2, loop_minimum=16))
    assert is_loop([token.id for token in best.tokens], 16)


def test_the_engine_finds_the_best_of_all_continuations() -> None:
    lm = TransformersLM(MODEL, 1024)
    tokens = list(lm.generate(IDS, replace(THREE, beams=27)))
    score, best = max(every(THREE))
    assert [token.id for token in tokens] == best
    assert sum(token.log_probability for token in tokens) == pytest.approx(score, abs=1e-3)


def test_more_beams_never_end_less_probable_than_one() -> None:
    longer = Sampling((range(300, 364),), STOP, max_new_tokens=12, min_new_tokens=12)
    for start in range(20, 60, 5):
        ids = list(range(start, start + 20))
        lm = TransformersLM(MODEL, 1024)
        scores = [sum(t.log_probability for t in lm.generate(ids, replace(longer, beams=n))) for n in (1, 8)]
        assert scores[1] >= scores[0] - 1e-3


def test_what_follows_a_search_is_as_after_a_fresh_start() -> None:
    lm, sampling = TransformersLM(MODEL, 1024), replace(THREE, beams=4)
    made = ids_of(lm, IDS, sampling)
    assert made == ids_of(lm, IDS, sampling)
    longer = [*IDS, *made, 5, 9]
    assert ids_of(lm, longer, THREE) == ids_of(TransformersLM(MODEL, 1024), longer, THREE)


def test_searches_share_passes_with_other_conversations_and_are_not_changed_by_them() -> None:
    prompts = [list(range(start, start + 20)) for start in range(20, 60, 5)]
    kinds = [Sampling((range(300, 364),), STOP, 20, min_new_tokens=20, beams=n) for n in (1, 3, 1, 5, 2, 1, 3, 4)]
    work = list(zip(prompts, kinds, strict=True))
    alone = [ids_of(TransformersLM(MODEL, 1024), *each) for each in work]
    lm = TransformersLM(MODEL, 1024)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda each: ids_of(lm, *each), work)) == alone


def test_the_stop_token_ends_a_search_but_not_too_early() -> None:
    lm = TransformersLM(MODEL, 1024)
    free = Sampling((range(10, 12),), STOP, 60, beams=3)
    assert ids_of(lm, IDS, free)[-1] == STOP
    later = ids_of(lm, IDS, replace(free, min_new_tokens=9))
    assert later[-1] == STOP and STOP not in later[:9]
