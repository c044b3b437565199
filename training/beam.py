"""CTC prefix beam search that knows how often English words are (Hannun et al. 2014, arXiv:1408.2873).

Letters alone cannot tell "coffee" from "coffy". A recogniser that measures speech should not be charged for English
spelling, so a completed word is weighted by its general frequency (`wordfreq`); a word that is not listed stays
possible at a price, and nothing is known about the sentences that are measured.
"""

import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from functools import cache

import numpy as np

WIDTH = 32
LEAST = math.log(1e-4)  # less likely symbols of a frame are left aside
WEIGHT, BONUS, UNLISTED = 0.5, 4.5, -18.0  # of log frequency; per word; log frequency of words that are not listed
Score = Callable[[str], float]


@cache
def score_word(word: str) -> float:
    """What a completed word adds to the log probability of a transcript."""
    from wordfreq import word_frequency

    frequency = word_frequency(word, "en")
    return WEIGHT * (math.log(frequency) if frequency else UNLISTED) + BONUS


def search(log_probabilities: np.ndarray, labels: Sequence[str], score: Score = score_word, width: int = WIDTH) -> str:
    """The best transcript of frames [T, V] over single-character labels, of which the first is the blank."""
    beams: dict[str, tuple[float, float]] = {"": (0.0, -math.inf)}  # log probabilities of ending in a blank, or not
    for frame in log_probabilities:
        grown: dict[str, list[float]] = defaultdict(lambda: [-math.inf, -math.inf])
        likely = [int(i) for i in np.flatnonzero(frame > LEAST)]
        for text, (blank, letter) in beams.items():
            for index in likely:
                for extended, ends_in_letter, value in _steps(text, blank, letter, labels[index], frame[index]):
                    cell = grown[extended]
                    cell[ends_in_letter] = float(np.logaddexp(cell[ends_in_letter], value))
        best = sorted(grown, key=lambda text: -(_total(grown[text]) + _words(text, score)))[:width]
        beams = {text: (grown[text][0], grown[text][1]) for text in best}
    return max(beams, key=lambda text: _total(beams[text]) + _words(text + " ", score)).strip()


def _steps(text: str, blank: float, letter: float, label: str, here: float) -> Iterator[tuple[str, int, float]]:
    """(longer text, 1 if it ends in a letter, log probability) of all ways to go on with a label ("" is the blank)."""
    if not label:
        yield text, 0, float(np.logaddexp(blank, letter)) + here
    elif label == " " and (not text or text.endswith(" ")):
        yield text, 1, float(np.logaddexp(blank, letter)) + here  # spaces are single, and do not begin a text
    elif text.endswith(label):
        yield text, 1, letter + here
        yield text + label, 1, blank + here
    else:
        yield text + label, 1, float(np.logaddexp(blank, letter)) + here


def _total(cell: Sequence[float]) -> float:
    return float(np.logaddexp(cell[0], cell[1]))


def _words(text: str, score: Score) -> float:
    """The scores of all words that are followed by a space."""
    return sum(map(score, text.split(" ")[:-1])) if " " in text else 0.0
