"""The beam search reads CTC frames as words."""

import numpy as np
import pytest

from training.beam import is_beginning, score_word, search

LABELS = ["", " ", *"abcdefhiklmnoprstuwxy'"]


def frames(*spelled: dict[str, float]) -> np.ndarray:
    """Log probabilities of frames, each given as {label: share}; the rest of a frame is shared by all others."""
    rows = []
    for shares in spelled:
        rest = (1 - sum(shares.values())) / (len(LABELS) - len(shares))
        rows.append([shares.get(label, rest) for label in LABELS])
    return np.log(np.array(rows))


def sure(text: str, share: float = 0.999) -> np.ndarray:
    """Every character of a text in a frame of its own, `_` for the blank."""
    return frames(*({"" if c == "_" else c: share} for c in text))


def test_repeated_letters_need_a_blank_between_them() -> None:
    assert search(sure("n_oo_t"), LABELS) == "not"
    assert search(sure("so_o_n"), LABELS) == "soon"


def test_spaces_are_single_and_never_at_the_ends() -> None:
    assert search(sure("  yes  it _ is "), LABELS) == "yes it is"


def test_where_the_sound_leaves_it_open_the_more_frequent_word_is_written() -> None:
    unsure = [{letter: 0.999} for letter in "cof"] + [{"f": 0.3, "": 0.69}] + [{"f": 0.6, "e": 0.39}] + [{"e": 0.999}]
    assert search(frames(*unsure, {"": 0.9}, {"e": 0.8}), LABELS) == "coffee"


@pytest.mark.parametrize(
    ("said", "doubtful", "letters"),
    [
        ("i would like to read", 16, {"r": 0.49, "d": 0.5}),  # "to dead"
        ("the photos are for him", 15, {"f": 0.49, "n": 0.5}),  # "are nor"
        ("twice a day", 7, {" ": 0.01, "": 0.98}),  # "twice aday"
        ("my brother's son", 11, {"s": 0.3, "d": 0.6}),  # "brother'd"
    ],
)
def test_where_the_sound_leaves_it_open_the_words_that_follow_each_other_are_written(
    said: str, doubtful: int, letters: dict[str, float]
) -> None:
    spelled = [{c: 0.999} for c in said]
    spelled[doubtful] = letters
    assert search(frames(*spelled), LABELS) == said


def test_a_word_is_judged_by_the_two_before_it() -> None:
    assert score_word(("at", "half"), "past") > score_word(("the", "half"), "past") > score_word((), "past")
    assert score_word(("looking", "for"), "kimono") > score_word(("looking", "for"), "witeimono")


def test_lists_have_names_and_possessives_and_no_letters_for_words() -> None:
    assert all(map(is_beginning, ["nag", "nagasaki", "nagasaki'", "nagasaki's", "co", "coworker's", "a"]))
    assert not any(map(is_beginning, ["nagasakx", "nagasakx's", "speaksengl", "'s"]))
    assert score_word(("my", "friend"), "s") < score_word(("my", "friend"), "is") - 10


def test_a_clear_sound_is_written_as_it_is_even_if_no_word_is_like_it() -> None:
    assert search(sure("bofynth", share=1 - 1e-5), LABELS) == "bofynth"


@pytest.mark.parametrize("count", [0, 5])
def test_silence_is_nothing(count: int) -> None:
    assert search(sure("_" * count) if count else np.zeros((0, len(LABELS))), LABELS) == ""
