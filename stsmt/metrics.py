"""Scores of text against references, with 95 % intervals: pure functions on strings and numbers.

Error rates, chrF, BLEU and shares are in percent (or points of 100); error rates may exceed 100. Each function takes
parallel lists of equal length, at least one, and scores an empty hypothesis as what it is: wrong. Texts are compared as
they are; `stsmt.text.normalise_for_scoring` is the caller's business.

Intervals: percentile bootstrap over utterances (seeded) for scores of a corpus; Wilson's for shares, because the
bootstrap calls "100 of 100" certain.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 1000
Z = 1.959964  # of the normal distribution, two-sided 95 %


@dataclass(frozen=True)
class Estimate:
    """A score of `n` utterances and its 95 % interval."""

    value: float
    low: float
    high: float
    n: int


def bootstrap(
    statistics: NDArray[np.float64], score: Callable[[NDArray[np.float64]], float], seed: int = 0
) -> Estimate:
    """`score` of the summed `statistics` [n utterances, k], and of `DRAWS` samples of n drawn with replacement.

    Raises:
        ValueError: if there are no utterances.
    """
    n = len(statistics)
    if not n:
        raise ValueError("a score needs at least one utterance")
    random = np.random.default_rng(seed)
    weights = random.multinomial(n, np.full(n, 1 / n), size=DRAWS)
    drawn = [score(sums) for sums in weights @ statistics]
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(float(score(statistics.sum(axis=0))), float(low), float(high), n)


# -- error rates -----------------------------------------------------------------------------------------------------


def word_error_rate(references: Sequence[str], hypotheses: Sequence[str], seed: int = 0) -> Estimate:
    """Substituted, deleted and inserted words per word of the references, in percent."""
    return _error_rate("en", references, hypotheses, seed)


def character_error_rate(references: Sequence[str], hypotheses: Sequence[str], seed: int = 0) -> Estimate:
    """The same for characters; spaces do not count, since Japanese has none."""
    return _error_rate("ja", references, hypotheses, seed)


def error_rate(language: str, references: Sequence[str], hypotheses: Sequence[str], seed: int = 0) -> Estimate:
    """CER for Japanese, WER for English."""
    return _error_rate(language, references, hypotheses, seed)


def error_difference(
    language: str, references: Sequence[str], hypotheses: Sequence[str], others: Sequence[str], *, seed: int = 0
) -> Estimate:
    """Error rate of `hypotheses` minus that of `others`, in points; utterances are drawn as pairs."""
    errors, other = (_error_counts(language, references, given) for given in (hypotheses, others))
    both = np.column_stack([errors[:, 0] - other[:, 0], errors[:, 1]])
    return bootstrap(both, lambda sums: 100 * float(sums[0]) / max(float(sums[1]), 1.0), seed)


def _error_counts(language: str, references: Sequence[str], hypotheses: Sequence[str]) -> NDArray[np.float64]:
    """Errors and length of the reference [n, 2]: characters without spaces for Japanese, else words."""
    from jiwer import process_characters, process_words

    counts = []
    for reference, hypothesis in zip(references, hypotheses, strict=True):
        if language == "ja":
            found: Any = process_characters("".join(reference.split()), "".join(hypothesis.split()))
        else:
            found = process_words(reference, hypothesis)
        errors = found.substitutions + found.deletions + found.insertions
        counts.append((errors, found.substitutions + found.deletions + found.hits))
    return np.array(counts, np.float64).reshape(-1, 2)


def _error_rate(language: str, references: Sequence[str], hypotheses: Sequence[str], seed: int) -> Estimate:
    counts = _error_counts(language, references, hypotheses)
    # A corpus without a single reference word is all wrong as soon as anything is said.
    return bootstrap(counts, lambda sums: 100 * float(sums[0]) / max(float(sums[1]), 1.0), seed)


# -- translation scores ----------------------------------------------------------------------------------------------


def chrf(references: Sequence[str], hypotheses: Sequence[str], seed: int = 0) -> Estimate:
    """Corpus chrF2 (sacrebleu's defaults): character n-grams up to 6, spaces ignored."""
    from sacrebleu.metrics import CHRF

    return _sacrebleu(CHRF(), references, hypotheses, seed)


def bleu(references: Sequence[str], hypotheses: Sequence[str], seed: int = 0) -> Estimate:
    """Corpus BLEU with sacrebleu's tokeniser 13a: for English only; Japanese has no words to split at."""
    from sacrebleu.metrics import BLEU

    return _sacrebleu(BLEU(tokenize="13a"), references, hypotheses, seed)


def _sacrebleu(metric: Any, references: Sequence[str], hypotheses: Sequence[str], seed: int) -> Estimate:
    if len(references) != len(hypotheses):
        raise ValueError(f"{len(references)} references for {len(hypotheses)} hypotheses")
    # sacrebleu keeps per-sentence counts for its own bootstrap; its public one gives no percentiles.
    counts = metric._extract_corpus_statistics(list(hypotheses), [list(references)]) if references else []

    def score(sums: NDArray[np.float64]) -> float:
        return float(metric._compute_score_from_stats([int(count) for count in sums]).score)

    return bootstrap(np.array(counts, np.float64), score, seed)


def signatures() -> dict[str, str]:
    """How sacrebleu computes the two scores, in its own notation."""
    from sacrebleu.metrics import BLEU, CHRF

    metrics = {"chrF": CHRF(), "BLEU": BLEU(tokenize="13a")}
    for metric in metrics.values():
        metric.corpus_score(["a"], [["a"]])
    return {name: str(metric.get_signature()) for name, metric in metrics.items()}


# -- shares and medians ----------------------------------------------------------------------------------------------


def share(flags: Sequence[bool]) -> Estimate:
    """How many of `flags` hold, in percent, with Wilson's interval.

    Raises:
        ValueError: if there are none.
    """
    n = len(flags)
    if not n:
        raise ValueError("a share needs at least one utterance")
    p, spread = sum(flags) / n, Z * Z / n
    centre = (p + spread / 2) / (1 + spread)
    half = Z * sqrt(p * (1 - p) / n + spread / (4 * n)) / (1 + spread)
    return Estimate(100 * p, max(0.0, 100 * (centre - half)), min(100.0, 100 * (centre + half)), n)


def exact_match(references: Sequence[str], hypotheses: Sequence[str]) -> Estimate:
    """Share of sentences that are right from the first to the last character."""
    return share([reference == hypothesis for reference, hypothesis in zip(references, hypotheses, strict=True)])


def median(values: Sequence[float], seed: int = 0) -> Estimate:
    """The median and its bootstrap interval, in the values' unit.

    Raises:
        ValueError: if there are none.
    """
    if not len(values):
        raise ValueError("a median needs at least one utterance")
    given = np.asarray(values, np.float64)
    drawn = np.median(np.random.default_rng(seed).choice(given, (DRAWS, len(given))), axis=1)
    low, high = np.percentile(drawn, (2.5, 97.5))
    return Estimate(float(np.median(given)), float(low), float(high), len(given))
