"""CTC prefix beam search that knows English words and their neighbours (Hannun et al. 2014, arXiv:1408.2873).

Letters alone cannot tell "coffee" from "coffy", nor words alone "a notebook" from "a not book". A recogniser that
measures speech should not be charged for English spelling, so a completed word is weighted by how often it follows the
one before it: general frequencies of pairs (Google's web corpus, in `wordsegment`), else of words (`wordfreq`), as in
"stupid backoff" (Brants et al. 2007). What is not listed stays possible at a price, and nothing is known about the
sentences that are measured.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial

import numpy as np

WIDTH = 32
LEAST = math.log(1e-4)  # less likely symbols of a frame are left aside
WEIGHT, BONUS, UNLISTED = 0.5, 4.5, -18.0  # of log frequency; per word; log frequency of words that are not listed
UNSEEN = math.log(0.1)  # a word that was never seen after the one before it
Score = Callable[[str, str], float]


@cache
def neighbours() -> tuple[dict[str, float], dict[str, float]]:
    """How often words and pairs of words ("excuse me") were counted, without their apostrophes."""
    import wordsegment

    wordsegment.load()
    return wordsegment.UNIGRAMS, wordsegment.BIGRAMS


@cache
def score_word(previous: str, word: str) -> float:
    """What a completed word adds to the log probability of a transcript; `previous` is empty for the first."""
    from wordfreq import word_frequency

    words, pairs = neighbours()
    frequency, before = word_frequency(word, "en"), previous.replace("'", "")
    alone = (math.log(frequency) if frequency else UNLISTED) + (UNSEEN if previous else 0.0)
    together = pairs.get(f"{before} {word.replace(chr(39), '')}", 0.0)
    counted = words.get(before, 0.0)
    likely = max(alone, math.log(together / counted)) if together and counted else alone
    return WEIGHT * likely + BONUS


def search(log_probabilities: np.ndarray, labels: Sequence[str], score: Score = score_word, width: int = WIDTH) -> str:
    """The best transcript of frames [T, V] over single-character labels, of which the first is the blank."""
    words = cache(partial(_words, score=score))
    beams: dict[str, tuple[float, float]] = {"": (0.0, -math.inf)}  # log probabilities of ending in a blank, or not
    for frame in log_probabilities:
        grown: dict[str, list[float]] = {}
        likely = [(labels[int(i)], float(frame[i])) for i in np.flatnonzero(frame > LEAST)]
        for text, (blank, letter) in beams.items():
            for label, here in likely:
                for extended, ends_in_letter, value in _steps(text, blank, letter, label, here):
                    cell = grown.setdefault(extended, [-math.inf, -math.inf])
                    cell[ends_in_letter] = _add(cell[ends_in_letter], value)
        best = sorted(grown, key=lambda text: -(_add(*grown[text]) + words(_complete(text))))[:width]
        beams = {text: (grown[text][0], grown[text][1]) for text in best}
    return max(beams, key=lambda text: _add(*beams[text]) + words(text + " ")).strip()


def _steps(text: str, blank: float, letter: float, label: str, here: float) -> Iterator[tuple[str, int, float]]:
    """(longer text, 1 if it ends in a letter, log probability) of all ways to go on with a label ("" is the blank)."""
    if not label:
        yield text, 0, _add(blank, letter) + here
    elif label == " " and (not text or text.endswith(" ")):
        yield text, 1, _add(blank, letter) + here  # spaces are single, and do not begin a text
    elif text.endswith(label):
        yield text, 1, letter + here
        yield text + label, 1, blank + here
    else:
        yield text + label, 1, _add(blank, letter) + here


def _add(one: float, other: float) -> float:
    """log(exp(one) + exp(other)); numpy's takes five times as long for single numbers."""
    larger, smaller = (one, other) if one > other else (other, one)
    return larger if smaller == -math.inf else larger + math.log1p(math.exp(smaller - larger))


def _complete(text: str) -> str:
    """`text` up to its last space."""
    return text[: text.rfind(" ") + 1]


def _words(text: str, score: Score) -> float:
    """The scores of all words of a text that ends in a space, or is empty."""
    words = text.split()
    return sum(map(score, ["", *words], words))
