"""CTC prefix beam search that knows English words and which follow which (Hannun et al. 2014, arXiv:1408.2873).

Letters alone cannot tell "coffee" from "coffy", nor words alone "four photos" from "for photos". A recogniser that
measures speech should not be charged for English spelling, so a completed word is weighted by how likely it is after
the two before it in general American English (the trigrams that PocketSphinx brings), else by how frequent it is
(`wordfreq`, 300,000 words), and what no listed word begins with costs more from its first wrong letter on, as in other
decoders with a lexicon. What is not listed stays possible at that price, and nothing is known about the sentences that
are measured. The weights are the best of a dozen for 500 of the training's recordings under noise (15 dB), which no
codec had touched.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache

import numpy as np

WIDTH = 64
LEAST = math.log(1e-5)  # less likely symbols of a frame are left aside
WEIGHT, BONUS = 0.8, 4.0  # of a word's log probability; per word
UNLISTED = -20.0  # a word or a beginning that no list has
OUTSIDE = -3.0  # words that the trigrams lack are that much less likely than they are frequent
POSSESSIVE, POSSESSIVES = "'s", math.log(0.05)  # how often, at a guess, a word has it: few of them are listed
REMEMBERED = 2**14  # texts, words and beginnings
SINGLE = "aio"  # the letters that are words; lists have all, as names of letters


@cache
def trigrams() -> Callable[[list[str]], float]:
    """A function that takes a word, the one before it and the one before that, as far as there are such; it gives the
    word's log probability there, -inf if it is not in the model."""
    from pocketsphinx import Config, LogMath, NGramModel, get_model_path

    log = LogMath()
    model = NGramModel(Config(), log, get_model_path("en-us/en-us.lm.bin"))

    def probability(words: list[str]) -> float:
        found = model.prob(words)
        return log.log_to_ln(found) if found > log.get_zero() else -math.inf

    return probability


@cache
def frequencies() -> dict[str, float]:
    """Log frequencies of English words."""
    from wordfreq import get_frequency_dict

    found = get_frequency_dict("en", wordlist="large")
    return {word: math.log(often) for word, often in found.items() if len(word) > 1 or word in SINGLE}


@cache
def _in_order() -> list[str]:
    return sorted(frequencies())


@lru_cache(REMEMBERED)
def is_beginning(letters: str) -> bool:
    """Does a listed word, or a possessive of one, begin like this?"""
    words, stem = _in_order(), letters.removesuffix(POSSESSIVE).removesuffix("'")
    place = bisect_left(words, letters)
    return (place < len(words) and words[place].startswith(letters)) or (stem != letters and stem in frequencies())


@lru_cache(REMEMBERED)
def score_word(before: tuple[str, ...], word: str) -> float:
    """What a completed word adds to the log probability of a transcript; `before` are the two before it, if any."""
    history = [*reversed(before), "<s>"][:2]
    likely = trigrams()([word, *history]) if len(word) > 1 or word in SINGLE else -math.inf
    if likely == -math.inf:
        listed, stem = frequencies(), word.removesuffix(POSSESSIVE)
        possessive = listed.get(stem, -math.inf) + POSSESSIVES if stem != word else -math.inf
        likely = listed.get(word, possessive) + OUTSIDE
    return (WEIGHT * likely if likely > -math.inf else UNLISTED) + BONUS


@lru_cache(REMEMBERED)
def score_words(text: str) -> float:
    """The scores of all words of a text."""
    words = text.split()
    return sum(score_word(tuple(words[max(0, place - 2) : place]), word) for place, word in enumerate(words))


def search(log_probabilities: np.ndarray, labels: Sequence[str], width: int = WIDTH) -> str:
    """The best transcript of frames [T, V] over single-character labels, of which the first is the blank."""
    beams: dict[str, tuple[float, float]] = {"": (0.0, -math.inf)}  # log probabilities of ending in a blank, or not
    for frame in log_probabilities:
        grown: dict[str, list[float]] = {}
        likely = [(labels[int(i)], float(frame[i])) for i in np.flatnonzero(frame > LEAST)]
        for text, (blank, letter) in beams.items():
            for label, here in likely:
                for extended, ends_in_letter, value in _steps(text, blank, letter, label, here):
                    cell = grown.setdefault(extended, [-math.inf, -math.inf])
                    cell[ends_in_letter] = _add(cell[ends_in_letter], value)
        best = sorted(grown, key=lambda text: -(_add(*grown[text]) + _spelling(text)))[:width]
        beams = {text: (grown[text][0], grown[text][1]) for text in best}
    return max(beams, key=lambda text: _add(*beams[text]) + score_words(text)).strip()


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


def _spelling(text: str) -> float:
    """The scores of the words that a text has completed, and of what it has begun."""
    complete = text.rfind(" ") + 1
    begun = text[complete:]
    return score_words(text[:complete]) + (0.0 if not begun or is_beginning(begun) else UNLISTED)
