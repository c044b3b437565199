"""The beam search reads CTC frames as words."""

import numpy as np
import pytest

from training.beam import search

LABELS = ["", " ", *"abcefhinosty"]


def frames(*spelled: dict[str, float]) -> np.ndarray:
    """Log probabilities of frames, each given as {label: share}; the rest of a frame is shared by all others."""
    rows = []
    for shares in spelled:
        rest = (1 - sum(shares.values())) / (len(LABELS) - len(shares))
        rows.append([shares.get(label, rest) for label in LABELS])
    return np.log(np.array(rows))


def sure(text: str) -> np.ndarray:
    """Every character of a text in a frame of its own, `_` for the blank."""
    return frames(*({"" if c == "_" else c: 0.999} for c in text))


def test_repeated_letters_need_a_blank_between_them() -> None:
    assert search(sure("n_oo_t"), LABELS) == "not"
    assert search(sure("so_o_n"), LABELS) == "soon"


def test_spaces_are_single_and_never_at_the_ends() -> None:
    assert search(sure("  yes  it _ is "), LABELS) == "yes it is"


def test_where_the_sound_leaves_it_open_the_more_frequent_word_is_written() -> None:
    unsure = [{letter: 0.999} for letter in "cof"] + [{"f": 0.3, "": 0.69}] + [{"f": 0.6, "e": 0.39}] + [{"e": 0.999}]
    assert search(frames(*unsure, {"": 0.9}, {"e": 0.8}), LABELS) == "coffee"


@pytest.mark.parametrize(("before", "end"), [("it is eas", "y"), ("to the eas", "t")])
def test_where_the_sound_leaves_it_open_the_word_that_often_follows_is_written(before: str, end: str) -> None:
    unsure = {"y": 0.5, "t": 0.49}
    assert search(frames(*({c: 0.999} for c in before), unsure), LABELS) == before + end


def test_a_clear_sound_is_written_as_it_is_even_if_no_word_is_like_it() -> None:
    assert search(sure("bofynth"), LABELS) == "bofynth"


@pytest.mark.parametrize("count", [0, 5])
def test_silence_is_nothing(count: int) -> None:
    assert search(sure("_" * count) if count else np.zeros((0, len(LABELS))), LABELS) == ""
