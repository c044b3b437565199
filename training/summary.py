"""From the records of single utterances to rows of numbers: one row per set, language or direction, and measure.

`MEASURES` is the table; what it computes is in `stsmt.metrics`. Records whose part failed count as empty answers.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np

from stsmt import metrics
from stsmt.example import LANGUAGES
from stsmt.metrics import Estimate
from stsmt.text import normalise_for_scoring
from training.fidelity import perplexity
from training.measure import Record

GENERATING = ("stt", "mt", "tts", "chain", "direct")
Side = Literal["source", "target"]
Kind = Literal["error", "exact", "chrf", "bleu"]
SPEECH_KINDS: tuple[Kind, ...] = ("error", "chrf", "bleu")
Score = Callable[[Sequence[Record], int], Estimate | None]


@dataclass(frozen=True)
class Measure:
    """One number of the report.

    `label` may hold {rate}, which becomes CER or WER. `side` says whose language is scored: "source" rows are about
    one language, "target" rows about a direction. `better` is "lower" or "higher".
    """

    key: str
    label: str
    side: Side
    better: str
    unit: str
    score: Score


# -- texts, written or heard -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class TextScore:
    """Compares `field` of a part with the item's text of `side`, or with its reading where the judge heard it.

    Error rates and exact matches of writing ignore case and punctuation; chrF sees writing as it is.
    """

    part: str
    field: str
    side: Side
    kind: Kind

    def __call__(self, records: Sequence[Record], seed: int) -> Estimate | None:
        have = [record for record in records if self.part in record["parts"]]
        if not have:
            return None
        language = have[0]["language" if self.side == "source" else "target"]
        if self.kind == "bleu" and language == "ja":  # has no words to count
            return None
        form = "reading" if self.field == "heard" else "text"
        references = [record[f"{self.side}_{form}"] for record in have]
        hypotheses = [record["parts"][self.part].get(self.field) or "" for record in have]
        if form == "text" and self.kind != "chrf":
            references = [normalise_for_scoring(text, language) for text in references]
            hypotheses = [normalise_for_scoring(text, language) for text in hypotheses]
        return _compare(self.kind, language, references, hypotheses, seed)


def _compare(kind: Kind, language: str, references: list[str], hypotheses: list[str], seed: int) -> Estimate:
    if kind == "error":
        return metrics.error_rate(language, references, hypotheses, seed)
    if kind == "exact":
        return metrics.exact_match(references, hypotheses)
    return (metrics.chrf if kind == "chrf" else metrics.bleu)(references, hypotheses, seed)


def _texts(part: str, label: str, field: str, side: Side, kinds: Sequence[Kind]) -> Iterator[Measure]:
    names = {"error": "{rate}", "exact": "fully right", "chrf": "chrF", "bleu": "BLEU"}
    heard = "ASR-" if field == "heard" else ""
    for kind in kinds:
        unit = "%" if kind in ("error", "exact") else ""
        better = "lower" if kind == "error" else "higher"
        yield Measure(
            f"{part}.{field}.{kind}", f"{label} {heard}{names[kind]}", side, better, unit,
            TextScore(part, field, side, kind),
        )  # fmt: skip


# -- shares and times ------------------------------------------------------------------------------------------------


def _flags(parts: Sequence[str], holds: Callable[[Record], bool]) -> Score:
    """Share of requests for which `holds` is true."""

    def compute(records: Sequence[Record], seed: int) -> Estimate | None:
        flags = [holds(record["parts"][part]) for record in records for part in parts if part in record["parts"]]
        return metrics.share(flags) if flags else None

    return compute


def _routed(records: Sequence[Record], seed: int) -> Estimate | None:
    tried = [record["parts"]["routing"] for record in records if "routing" in record["parts"]]
    flags = [right for part in tried for right in part.get("routed", {"failed": False}).values()]
    return metrics.share(flags) if flags else None


def _speed(part: str) -> Score:
    def compute(records: Sequence[Record], seed: int) -> Estimate | None:
        alone = [record for record in records if record.get("at_once", 1) == 1]  # the others waited for each other
        timings = [record["parts"].get(part, {}).get("timing") or {} for record in alone]
        factors = [timing["real_time_factor"] for timing in timings if timing.get("real_time_factor") is not None]
        return metrics.median(factors, seed) if factors else None

    return compute


# -- the codec -------------------------------------------------------------------------------------------------------


def _lost(records: Sequence[Record], seed: int) -> Estimate | None:
    """How many points of the judge's error the codec adds."""
    have = [record for record in records if {"judge", "codec"} <= record["parts"].keys()]
    if not have:
        return None
    language, references = have[0]["language"], [record["source_reading"] for record in have]
    heard = ([record["parts"][part].get("heard") or "" for record in have] for part in ("codec", "judge"))
    return metrics.error_difference(language, references, *heard, seed=seed)


def _codec_mean(field: str) -> Score:
    def compute(records: Sequence[Record], seed: int) -> Estimate | None:
        values = [record["parts"].get("codec", {}).get(field) for record in records]
        known = np.array([[value, 1.0] for value in values if value is not None])
        return metrics.bootstrap(known, lambda sums: float(sums[0] / sums[1]), seed) if len(known) else None

    return compute


def _code_use(records: Sequence[Record], seed: int) -> Estimate | None:
    """Perplexity of the codes. Samples with replacement hold fewer different codes: their interval is moved back."""
    spoken = [codes for record in records if (codes := record["parts"].get("codec", {}).get("codes"))]
    if not spoken:
        return None
    size = 1 + max(max(codes) for codes in spoken)
    found = metrics.bootstrap(np.stack([np.bincount(codes, minlength=size) for codes in spoken]), perplexity, seed)
    moved = found.value - (found.low + found.high) / 2
    return replace(found, low=found.low + moved, high=found.high + moved)


def _health(field: str) -> Callable[[Record], bool]:
    """Is `field` of the part's health set? A failed request has none: nothing looped, no end was reached."""
    return lambda part: bool(part.get("health", {}).get(field))


def _generation(parts: Sequence[str], key: str, label: str) -> Iterator[Measure]:
    """Is generation sound, over all requests of `parts`?"""
    rows: tuple[tuple[str, str, str, Callable[[Record], bool]], ...] = (
        ("loops", "loops", "lower", _health("loop")),
        ("cap_hits", "cap hits", "lower", _health("cap_hit")),
        ("end_reached", "end reached", "higher", _health("end_reached")),
        ("retried", "tried again", "lower", _health("retries")),
        ("failures", "failures", "lower", lambda part: "error" in part),
    )
    for name, words, better, holds in rows:
        yield Measure(f"{key}.{name}", f"{label}: {words}", "target", better, "%", _flags(parts, holds))


MEASURES: tuple[Measure, ...] = (
    *_texts("stt", "STT", "transcript", "source", ("error", "exact", "chrf")),
    *_texts("chain", "STS chain, transcript", "transcript", "source", ("error", "exact", "chrf")),
    *_texts("chain", "STS chain, translation", "translation", "target", ("chrf", "exact")),
    *_texts("chain", "STS chain, speech", "heard", "target", SPEECH_KINDS),
    *_texts("direct", "STS direct, speech", "heard", "target", SPEECH_KINDS),
    *_texts("mt", "Text translation", "translation", "target", ("chrf", "exact")),
    *_texts("tts", "TTS round trip", "heard", "source", SPEECH_KINDS),
    *_texts("judge", "Ceiling: the judge on the original,", "heard", "source", SPEECH_KINDS),
    *_texts("codec", "Ceiling: the judge on its resynthesis,", "heard", "source", SPEECH_KINDS),
    Measure("codec.lost", "Codec: {rate} on resynthesis minus original", "source", "lower", "points", _lost),
    Measure("codec.mel", "Codec: multi-scale mel distance", "source", "lower", "dB", _codec_mean("mel_distance")),
    Measure("codec.pesq", "Codec: PESQ-WB", "source", "higher", "MOS-LQO", _codec_mean("pesq")),
    Measure("codec.use", "Codec: perplexity of the codes", "source", "higher", "", _code_use),
    Measure("routing.task", "Task routing, unconstrained", "source", "higher", "%", _routed),
    Measure(
        "routing.language", "Language identified", "source", "higher", "%",
        _flags(("routing",), lambda part: bool(part.get("identified"))),
    ),
    *_generation(GENERATING, "all", "All requests"),
    *(measure for part in GENERATING for measure in _generation((part,), part, part)),
    *(
        Measure(f"{part}.rtf", f"Real-time factor, {part}", "target", "lower", "×", _speed(part))
        for part in ("chain", "direct", "tts", "stt")
    ),
)  # fmt: skip


BY_VOICE = ("stt.transcript.error", "judge.heard.error", "codec.heard.error", "codec.lost", "tts.heard.error")


def summarise(records: Sequence[Record], seed: int = 0, measures: Sequence[Measure] = MEASURES) -> list[dict[str, Any]]:
    """Rows {set, subject, measure, label, unit, better, value, low, high, n}; no row where nothing was measured.

    `subject` is a language ("ja") or a direction ("ja-en").
    """
    rows = []
    for name in dict.fromkeys(record["set"] for record in records):
        for language in LANGUAGES:
            chosen = [record for record in records if record["set"] == name and record["language"] == language]
            for measure in measures if chosen else ():
                estimate = measure.score(chosen, seed)
                if estimate is not None:
                    rows.append(_row(name, measure, chosen[0], estimate))
    return rows


def summarise_voices(records: Sequence[Record], seed: int = 0) -> list[dict[str, Any]]:
    """Rows as those of `summarise`, with a `voice`: how well each is understood, kept by the codec and spoken."""
    measures = [measure for measure in MEASURES if measure.key in BY_VOICE]
    rows = []
    for voice in sorted({record["voice"] for record in records}):
        own = [record for record in records if record["voice"] == voice]
        rows += [{"voice": voice} | row for row in summarise(own, seed, measures)]
    return rows


def _row(name: str, measure: Measure, record: Record, estimate: Estimate) -> dict[str, Any]:
    language, target = record["language"], record["target"]
    scored = language if measure.side == "source" else target
    return {
        "set": name,
        "subject": language if measure.side == "source" else f"{language}-{target}",
        "measure": measure.key,
        "label": measure.label.format(rate="CER" if scored == "ja" else "WER"),
        "unit": measure.unit,
        "better": measure.better,
        **{field: round(value, 3) for field, value in asdict(estimate).items()},
    }


def count_requests(records: Sequence[Record]) -> dict[str, int]:
    """How many texts and sounds were generated, how many of them looped, were cut at their cap or did not end by
    themselves; how many requests were to be routed to their task, and how many were."""
    parts = [part for record in records for part in record["parts"].values()]
    healths = [part["health"] for part in parts if "health" in part]
    routed = [right for part in parts for right in part.get("routed", {}).values()]
    return {
        "generated": len(healths),
        "loops": sum(health["loop"] for health in healths),
        "caps": sum(health["cap_hit"] for health in healths),
        "endless": sum(not health["end_reached"] for health in healths),
        "asked": len(routed),
        "routed": sum(routed),
    }
