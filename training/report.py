"""The report for people: Markdown, plots, and the numbers of the README. It computes nothing."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stsmt.errors import UserError
from stsmt.example import LANGUAGES
from training.calibration import WANTED
from training.robustness import CONDITIONS
from training.summary import MEASURES

Report = dict[str, Any]
Row = dict[str, Any]
OPENING, CLOSING = "<!-- numbers -->", "<!-- /numbers -->"
TITLES = {"unseen_sentence": "unseen sentence", "unseen_voice": "unseen voice", "unseen_template": "unseen template"}

CLEAN = "unseen_sentence"
ORDER = [measure.key for measure in MEASURES]
JA_EN = "ja→en / en→ja"

# Rows of the README: a label, and a measure, which is shown for both languages or directions.
HEADLINES: tuple[tuple[str, str], ...] = (
    ("STT: CER ja / WER en", "stt.transcript.error"),
    (f"STS chain, translation chrF: {JA_EN}", "chain.translation.chrf"),
    (f"STS chain, translations fully right: {JA_EN}", "chain.translation.exact"),
    (f"STS chain, ASR-chrF of the speech: {JA_EN}", "chain.heard.chrf"),
    (f"STS direct, ASR-chrF of the speech: {JA_EN}", "direct.heard.chrf"),
    ("TTS round trip: CER ja / WER en", "tts.heard.error"),
    ("… ceiling, the judge on the original: CER ja / WER en", "judge.heard.error"),
    ("… ceiling, the judge on codec resynthesis: CER ja / WER en", "codec.heard.error"),
    (f"Loops: {JA_EN}", "all.loops"),
    (f"End reached: {JA_EN}", "all.end_reached"),
    ("Task routing: ja / en", "routing.task"),
    (f"Real-time factor, STS chain: {JA_EN}", "chain.rtf"),
)

# One plot each: file, title, measures shown for every set and subject.
PLOTS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    (
        "errors",
        "Error rates in % (CER ja, WER en): lower is better",
        ("stt.transcript.error", "tts.heard.error", "codec.heard.error", "judge.heard.error"),
    ),
    (
        "chrf",
        "chrF: higher is better",
        ("mt.translation.chrf", "chain.translation.chrf", "chain.heard.chrf", "direct.heard.chrf"),
    ),
    (
        "exact",
        "Sentences fully right in %",
        ("stt.transcript.exact", "mt.translation.exact", "chain.translation.exact"),
    ),
)


def write(report: Report, out: Path) -> None:
    """`report.json`, `report.md` and its plots."""
    (out / "report.json").write_text(json.dumps(report, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    main = [row for row in report["rows"] if row["set"] not in CONDITIONS]
    drawn = [name for name, title, measures in PLOTS if draw(main, title, measures, out / f"{name}.png")]
    if report["confidence"]:
        draw_reliability(report["confidence"], out / "reliability.png")
        drawn.append("reliability")
    if draw_robustness(report["rows"], out / "robustness.png"):
        drawn.append("robustness")
    (out / "report.md").write_text(markdown(report, drawn), encoding="utf-8")


# -- Markdown --------------------------------------------------------------------------------------------------------


def markdown(report: Report, plots: Sequence[str] = ()) -> str:
    """The whole report as a page."""
    counts, model = report["utterances"], report["model"]
    sets = list(dict.fromkeys(row["set"] for row in report["rows"]))
    spoiled = [name for name in sets if name in CONDITIONS]
    state = "" if counts["measured"] == counts["planned"] else " **This run is not complete.**"
    return "\n\n".join(
        [
            f"# {model['name']}, revision {model['revision']}",
            f"{counts['measured']} of {counts['planned']} utterances measured.{state} Made by `{report['command']}`. "
            f"Intervals: {report['intervals']}. Scores: {_signatures(report)}.",
            "Of {generated:,} requests for text or speech {loops:,} looped, {caps:,} were cut at their cap and "
            "{endless:,} did not end by themselves; of {asked:,} requests {routed:,} were answered as the task that "
            "was asked (recordings that were spoiled are not counted).".format(**report["totals"]),
            *(f"![{name}]({name}.png)" for name in plots),
            *(_set_section(report["rows"], name) for name in sets if name not in CONDITIONS),
            _voices_section(report["voices"]),
            *([_spoiled_section(report["rows"], spoiled)] if spoiled else []),
            *([_confidence_section(report["confidence"])] if report["confidence"] else []),
            _examples_section(report["examples"]),
        ]
    ) + "\n"  # fmt: skip


def _signatures(report: Report) -> str:
    return ", ".join(f"{name} `{signature}`" for name, signature in report["scores"].items())


def _set_section(rows: Sequence[Row], name: str) -> str:
    """One table: a line per label, a column per direction (or language, for what concerns only one)."""
    chosen = sorted((row for row in rows if row["set"] == name), key=lambda row: ORDER.index(row["measure"]))
    lines = [f"## {TITLES.get(name, name)}", "", "| | Japanese → English | English → Japanese |", "|---|---|---|"]
    for measure in dict.fromkeys(row["measure"] for row in chosen):
        cells = {row["subject"][:2]: row for row in chosen if row["measure"] == measure}
        label = _label([row["label"] for row in cells.values()])
        lines.append(f"| {label} | {_cell(cells.get('ja'))} | {_cell(cells.get('en'))} |")
    return "\n".join(lines)


def _voices_section(rows: Sequence[Row]) -> str:
    """One table: a line per set and voice, CER of the Japanese ones, WER of the English ones."""
    columns = {
        "stt.transcript.error": "STT",
        "judge.heard.error": "the judge on the original",
        "codec.heard.error": "on its resynthesis",
        "codec.lost": "resynthesis minus original",
        "tts.heard.error": "TTS round trip",
    }
    found = {(row["set"], row["subject"], row["voice"], row["measure"]): row for row in rows}
    lines = [
        "## Voices (CER ja, WER en)",
        "",
        f"| | | {' | '.join(columns.values())} |",
        "|---" * (2 + len(columns)) + "|",
    ]
    sets = list(dict.fromkeys(name for name, *_ in found))
    for name, language, voice in sorted({key[:3] for key in found}, key=lambda key: (sets.index(key[0]), *key[1:])):
        cells = (_cell(found.get((name, language, voice, key))) for key in columns)
        lines.append(f"| {TITLES.get(name, name)} | {voice} ({language}) | {' | '.join(cells)} |")
    return "\n".join(lines)


def _spoiled_section(rows: Sequence[Row], names: Sequence[str]) -> str:
    """One table: a line per condition."""
    columns = {
        "stt.transcript.error": "STT: CER ja / WER en",
        "stt.transcript.exact": "fully right",
        "stt.loops": "loops",
    }
    found = {(row["set"], row["subject"][:2], row["measure"]): row for row in rows}
    lines = ["## Spoiled recordings", "", f"| | {' | '.join(columns.values())} |", "|---" * (1 + len(columns)) + "|"]
    for name in names:
        cells = (" / ".join(_cell(found.get((name, source, key))) for source in LANGUAGES) for key in columns)
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _label(labels: Sequence[str]) -> str:
    """The label of both directions: they differ at most in the kind of error rate."""
    if len(set(labels)) == 1:
        return labels[0]
    return labels[0].replace("CER", "CER / WER") if "CER" in labels[0] else labels[0].replace("WER", "WER / CER")


def _cell(row: Row | None) -> str:
    return "–" if row is None else f"{_value(row)} ({row['low']:.4g}–{row['high']:.4g}; n {row['n']})"


def _value(row: Row) -> str:
    digits = 2 if row["unit"] in ("×", "MOS-LQO") else 1
    return f"{row['value']:.{digits}f}{' ' if row['unit'] else ''}{row['unit']}"


def _confidence_section(found: dict[str, Any]) -> str:
    flagged = {name: found[f"{name}_flagged"] for name in ("wrong", "right")}
    shares = [f"{_share(share)} of {name} ones" for name, share in flagged.items() if share]
    wanted = found["limit_wanted"]
    lines = [
        "## Confidence of transcripts",
        "",
        f"The app calls a transcript unsure below {found['limit']}. Here that flags {' and '.join(shares)}."
        + ("" if wanted is None else f" To flag {WANTED:.0%} of the wrong ones, the limit would be {wanted}."),
        "",
        "| confidence | mean | fully right |",
        "|---|---|---|",
        *(f"| {row['from']}–{row['to']} | {row['confidence']:.3f} | {_share(row)} |" for row in found["bins"]),
    ]
    return "\n".join(lines)


def _share(row: Row) -> str:
    return f"{row['value']:.1f} % ({row['low']:.1f}–{row['high']:.1f}; n {row['n']})"


def _examples_section(examples: Sequence[dict[str, str]]) -> str:
    columns = {
        "said": "said (voice)",
        "transcript": "transcript",
        "reference": "reference",
        "translation": "translation",
        "heard": "speech, as the judge hears it",
        "heard_direct": "direct speech, as the judge hears it",
    }
    lines = ["## Random utterances", "", f"| {' | '.join(columns.values())} |", "|" + "---|" * len(columns)]
    for example in examples:
        cells = [example[name] or "–" for name in columns]
        cells[0] += f" ({example['voice']})"
        lines.append("| " + " | ".join(" ".join(cell.replace("|", "\\|").split()) for cell in cells) + " |")
    return "\n".join(lines)


# -- README ----------------------------------------------------------------------------------------------------------


def numbers(report: Report) -> str:
    """The main numbers with their intervals as one table, a column per set."""
    rows = {(row["set"], row["subject"][:2], row["measure"]): row for row in report["rows"]}
    sets = list(dict.fromkeys(row["set"] for row in report["rows"] if row["set"] not in CONDITIONS))
    heads = [f"{TITLES.get(name, name)} (n = {_counted(report['rows'], name)})" for name in sets]
    lines = ["| | " + " | ".join(heads) + " |", "|---" * (len(sets) + 1) + "|"]
    for label, measure in HEADLINES:
        cells = [" / ".join(_short(rows.get((name, source, measure))) for source in LANGUAGES) for name in sets]
        if any(cell.strip("– /") for cell in cells):
            lines.append(f"| {label} | " + " | ".join(cells) + " |")
    counts, model = report["utterances"], report["model"]
    note = (
        f"{model['name']}, revision {model['revision']}; {counts['measured']} of {counts['planned']} utterances, "
        f"synthetic voices, likeliest text, sampled speech, seed {report['seed']}; n is per direction, small figures "
        f"are 95 % intervals; `{report['command']}`."
    )
    return "\n".join([*lines, "", note])


def _short(row: Row | None) -> str:
    if row is None:
        return "–"
    digits = 2 if row["unit"] in ("×", "MOS-LQO") else 1
    return f"{_value(row)} <sub>{row['low']:.{digits}f}–{row['high']:.{digits}f}</sub>"


def _counted(rows: Sequence[Row], name: str) -> str:
    """Utterances per direction of a set."""
    counts = {row["n"] for row in rows if (row["set"], row["measure"]) == (name, HEADLINES[0][1])}
    return "–".join(map(str, sorted(counts))) or "?"


def write_readme(report: Report, path: Path) -> None:
    """Replace what stands between the markers.

    Raises:
        UserError: if the file or its markers are missing.
    """
    page = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, found, rest = page.partition(OPENING)
    _, closed, after = rest.partition(CLOSING)
    if not found or not closed:
        raise UserError(f"{path} has no place for numbers between {OPENING} and {CLOSING}.")
    path.write_text(f"{before}{OPENING}\n{numbers(report)}\n{CLOSING}{after}", encoding="utf-8")


# -- plots -----------------------------------------------------------------------------------------------------------


def draw(rows: Sequence[Row], title: str, measures: Sequence[str], path: Path) -> bool:
    """Bars with their intervals, grouped by measure; False if there is nothing to draw."""
    shown = [row for row in rows if row["measure"] in measures]
    if not shown:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    places = [measure for measure in measures if any(row["measure"] == measure for row in shown)]
    series = list(dict.fromkeys((row["set"], row["subject"][:2]) for row in shown))
    for index, (name, language) in enumerate(series):
        bars = [row for row in shown if row["set"] == name and row["subject"][:2] == language]
        shift = (index + 0.5) / len(series) - 0.5
        x = [places.index(row["measure"]) + 0.8 * shift for row in bars]
        label = f"{TITLES.get(name, name)}, from {language}"
        axes.bar(x, [row["value"] for row in bars], 0.7 / len(series), yerr=_spans(bars), capsize=2, label=label)
    axes.set_xticks(range(len(places)), [measure.replace(".", "\n", 1) for measure in places])
    axes.set_title(title)
    axes.grid(axis="y", alpha=0.3)
    figure.legend(loc="outside lower center", fontsize="small", ncols=3)
    figure.savefig(path, dpi=110)
    return True


def draw_robustness(rows: Sequence[Row], path: Path) -> bool:
    """Recognition errors under every condition beside the clean sentences; False if no condition was measured."""
    errors = {(row["set"], row["subject"]): row for row in rows if row["measure"] == "stt.transcript.error"}
    shown = [name for name in (CLEAN, *CONDITIONS) if (name, "ja") in errors and (name, "en") in errors]
    if not set(shown) - {CLEAN}:
        return False
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    axes = figure.add_subplot()
    for shift, language in ((-0.1, "ja"), (0.1, "en")):
        points = [errors[name, language] for name in shown]
        places = [index + shift for index in range(len(shown))]
        axes.errorbar(places, [row["value"] for row in points], _spans(points), fmt="o", capsize=3, label=language)
    axes.set_xticks(range(len(shown)), [TITLES.get(name, name) for name in shown], rotation=40, ha="right")
    axes.set_title("STT error in % (CER ja, WER en) of spoiled recordings: lower is better")
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)
    return True


def draw_reliability(found: dict[str, Any], path: Path) -> None:
    """Share of right transcripts against their confidence: on the diagonal, confidence is a probability."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes, bins = figure.add_subplot(), found["bins"]
    axes.plot([0, 100], [0, 100], color="grey", linewidth=1)
    axes.axvline(100 * found["limit"], color="grey", linestyle=":", label="the app's limit")
    places = [100 * row["confidence"] for row in bins]
    axes.errorbar(places, [row["value"] for row in bins], _spans(bins), fmt="o-", capsize=3)
    axes.set_xlabel("confidence: probability of the transcript in %")
    axes.set_ylabel("transcripts fully right in %")
    axes.set_title("Reliability")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=110)


def _spans(bars: Sequence[Row]) -> list[list[float]]:
    """How far the intervals reach below and above the values."""
    below = [max(0.0, row["value"] - row["low"]) for row in bars]
    above = [max(0.0, row["high"] - row["value"]) for row in bars]
    return [below, above]
