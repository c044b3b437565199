"""What the listening test has found: tables, a plot of means with their intervals, and files to download."""

import html
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import gradio as gr

from stsmt.example import Language
from stsmt.listening.exchange import as_csv, as_lines, rows_of
from stsmt.listening.items import KNOWN_KINDS
from stsmt.listening.protocol import ListeningTest
from stsmt.listening.summary import public_summary, summary
from stsmt.ui.forms import PRIVATE, shown_errors
from stsmt.ui.rating_form import tell, word
from stsmt.ui.strings import visitor_language

# Through the queue, because the sentence of a refused answer is shown only there; nobody waits for another rater.
QUEUED: dict[str, Any] = {**PRIVATE, "concurrency_limit": None}
KEPT_SECONDS = 600
LEFT, WIDTH, ROW = 190, 560, 26  # of the plot, in its own units


def summarise(test: ListeningTest) -> dict[str, Any]:
    """The summary of a running test, as everybody may see it."""
    return public_summary(summary(test.ratings(), test.raters(), test.damage, test.skips()))


def results_section(test: ListeningTest) -> None:
    """A fold with a button: results are computed when they are asked for."""
    with gr.Accordion(word("results"), open=False, elem_id="listening-results"):
        show = gr.Button(word("refresh"), elem_id="results-show")
        body = gr.HTML("", elem_classes="quiet")
        files = gr.Files(label=word("download"), visible=False, interactive=False)
    show.click(results(test), outputs=[body, files], **QUEUED)


def results(test: ListeningTest) -> Callable[[gr.Request], tuple[str, Any]]:
    """The handler of the button."""
    folder = tempfile.TemporaryDirectory(prefix="stsmt-results-")  # goes when the handler goes

    def handler(visitor: gr.Request) -> tuple[str, Any]:
        language = visitor_language(visitor)
        with shown_errors(language):
            found = summarise(test)
            files = write_files(Path(folder.name), test, found)
            return report(found, language), gr.update(value=files, visible=True)

    return handler


def write_files(folder: Path, test: ListeningTest, found: dict[str, Any]) -> list[str]:
    """The files to download, in a folder of their own; earlier ones stay while somebody may be loading them."""
    answers = [row for row in rows_of(test.ratings(), test.raters(), test.skips()) if row["kind"] not in KNOWN_KINDS]
    contents = {
        "ratings.csv": as_csv(answers),
        "ratings.jsonl": as_lines(answers),
        "summary.json": json.dumps(found, ensure_ascii=False, indent=2).encode(),
    }
    for old in folder.iterdir():
        if time.time() - old.stat().st_mtime > KEPT_SECONDS:
            shutil.rmtree(old, ignore_errors=True)
    own = Path(tempfile.mkdtemp(dir=folder))
    for name, content in contents.items():
        (own / name).write_bytes(content)
    return [str(own / name) for name in contents]


def report(found: dict[str, Any], language: Language) -> str:
    """Everything as HTML; all words are escaped."""
    standings = {state: found["standings"].get(state, 0) for state in ("counts", "excluded", "unknown")}
    head = tell("results_counted", language, counted=found["n_counted"], all=found["n_ratings"], **standings)
    parts = [f"<p>{html.escape(head)}</p>"]
    for question in dict.fromkeys(row["question"] for row in found["conditions"]):
        parts.append(_question(question, found, language))
    parts += [_comparison(table, language) for table in found["comparisons"]]
    if len(parts) == 1:
        parts.append(f"<p>{html.escape(tell('nothing_rated', language))}</p>")
    parts += [
        _flags(found["flags"], language),
        _anchors(found["anchors"], language),
        _raters(found["raters"], language),
    ]
    parts.append(f"<p>{html.escape(tell('known_hint', language))}</p>")
    return f'<div class="results">{"".join(parts)}</div>'


def _question(question: str, found: dict[str, Any], language: Language) -> str:
    own = [row for row in found["conditions"] if row["question"] == question]
    keys = ("condition", "mean", "clustered", "normalised", "n")
    cells = [
        (
            row["condition"],
            *(interval(row[key], language) for key in ("mean", "clustered", "normalised")),
            f"{row['mean']['n']} / {row['raters']} / {row['items']}",
        )
        for row in own
    ]
    title = f"<h4>{html.escape(tell(question, language))}</h4>"
    plot = plot_of([(row["condition"], row["mean"]) for row in own], (1.0, 5.0), tell(question, language))
    return (
        title
        + plot
        + table([tell(f"column_{key}", language) for key in keys], cells)
        + _alpha(question, found, language)
    )


def _alpha(question: str, found: dict[str, Any], language: Language) -> str:
    row = next(row for row in found["agreement"] if row["question"] == question)
    alpha = tell("not_enough", language) if row["alpha"] is None else f"{row['alpha']:.2f}"
    return f"<p>{html.escape(tell('alpha', language, alpha=alpha, items=row['items']))}</p>"


def _comparison(found: dict[str, Any], language: Language) -> str:
    title = f"<h4>{html.escape(tell(found['question'], language))}</h4>"
    strengths = list(found["strengths"].items())
    values = [value for _, s in strengths for value in (s["value"], s["low"], s["high"]) if value is not None]
    reach = max([1.0, *map(abs, values)])
    plot = plot_of(strengths, (-reach, reach), tell(found["question"], language))
    heads = [tell(f"column_{key}", language) for key in ("condition", "strength")]
    choices = ", ".join(f"{choice}: {n}" for choice, n in found["choices"].items())
    rows = [(name, interval(strength, language)) for name, strength in strengths]
    return (
        title
        + plot
        + table(heads, rows)
        + f"<p>{html.escape(tell('column_choices', language))}: {html.escape(choices)}</p>"
    )


def _flags(rows: list[dict[str, Any]], language: Language) -> str:
    cells = [(row["condition"], tell(f"flag_{row['flag']}", language), str(row["n"])) for row in rows]
    return _section("flags", ("condition", "flags", "n_flags"), cells, language)


def _anchors(rows: list[dict[str, Any]], language: Language) -> str:
    cells = [
        (row["round"], tell(row["question"], language), interval(row["mean"], language), str(row["mean"]["n"]))
        for row in rows
    ]
    hint = f"<p>{html.escape(tell('anchors_hint', language))}</p>" if cells else ""
    return _section("anchors", ("round", "question", "mean", "ratings"), cells, language) + hint


def _raters(rows: list[dict[str, Any]], language: Language) -> str:
    cells = [
        (
            row["rater"],
            tell(f"competence_{row['competence']}", language),
            tell(row["device"], language) if row["device"] else "–",
            str(row["ratings"]),
            _standing(row, language),
        )
        for row in rows
    ]
    return _section("raters", ("rater", "competence", "device", "ratings", "standing"), cells, language)


def _standing(row: dict[str, Any], language: Language) -> str:
    reasons = "; ".join(tell(f"reason_{name}", language) for name in row["reasons"])
    return tell(f"state_{row['state']}", language, reasons=reasons)


def _section(name: str, columns: Iterable[str], cells: Sequence[tuple[str, ...]], language: Language) -> str:
    """A titled table, or nothing where there is nothing."""
    if not cells:
        return ""
    title = f"<h4>{html.escape(tell(f'title_{name}', language))}</h4>"
    return title + table([tell(f"column_{key}", language) for key in columns], cells)


def interval(found: dict[str, Any], language: Language) -> str:
    """A number with its interval, or that there is not enough."""
    if not found["enough"]:
        return f"{tell('not_enough', language)} (n = {found['n']})"
    return f"{found['value']:.2f} [{found['low']:.2f}, {found['high']:.2f}]"


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """An HTML table; a narrow page scrolls it, not the whole page."""
    head = "".join(f'<th scope="col">{html.escape(text)}</th>' for text in heads)
    body = "".join("<tr>" + "".join(f"<td>{html.escape(text)}</td>" for text in row) + "</tr>" for row in rows)
    return f'<div class="table-wrap"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def plot_of(rows: list[tuple[str, dict[str, Any]]], span: tuple[float, float], title: str) -> str:
    """Points with their intervals, in the colour of the page's text; what has no interval is left out."""
    known = [(name, found) for name, found in rows if found["enough"]]
    if not known:
        return ""
    low, high = span
    height = ROW * len(known) + 24

    def x(value: float) -> float:
        return LEFT + (WIDTH - LEFT - 16) * (min(max(value, low), high) - low) / (high - low)

    marks = "".join(_mark(i, name, found, x) for i, (name, found) in enumerate(known))
    ticks = [low + (high - low) * i / 4 for i in range(5)]
    axis = "".join(
        f'<line x1="{x(t):.1f}" x2="{x(t):.1f}" y1="0" y2="{height - 20}" opacity="0.2"/>'
        f'<text x="{x(t):.1f}" y="{height - 6}" text-anchor="middle">{t:.3g}</text>'
        for t in ticks
    )
    return (
        f'<svg class="intervals" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{html.escape(title)}">'
        f"{axis}{marks}</svg>"
    )


def _mark(index: int, name: str, found: dict[str, Any], x: Callable[[float], float]) -> str:
    y = ROW * index + ROW / 2
    shown = name if len(name) <= 26 else name[:25] + "…"
    return (
        f'<text x="{LEFT - 10}" y="{y + 4}" text-anchor="end">{html.escape(shown)}</text>'
        f'<line x1="{x(found["low"]):.1f}" x2="{x(found["high"]):.1f}" y1="{y}" y2="{y}" stroke-width="2"/>'
        f'<circle cx="{x(found["value"]):.1f}" cy="{y}" r="5"/>'
    )
