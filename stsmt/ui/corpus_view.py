"""What the Corpus tab shows, as HTML, and its address: pure functions; each text is escaped and keeps its direction."""

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any
from urllib.parse import parse_qs

from stsmt.corpus.columns import Column
from stsmt.corpus.filters import Filter, read_filters
from stsmt.corpus.keyset import IN_ORDER, Sort
from stsmt.corpus.pairs import Pair, Utterance
from stsmt.corpus.search import Corpus, Facet, Page
from stsmt.example import Language
from stsmt.listening.statistics import Interval
from stsmt.listening.summary import PairRatings
from stsmt.text import normalise_for_scoring
from stsmt.ui import charts
from stsmt.ui.strings import say

ROW_CHARACTERS, PAIR_CHARACTERS, NAME_CHARACTERS = 160, 2000, 60
BARS = 12  # of a chart
COVERAGE = "coverage"  # the chart of voices against templates
CROSSED = ("template", "target_voice")
Facets = Mapping[str, Facet]
ADDRESS = ("q", "where", "sort", "pair", "charts", "page")  # the parameters of a link
NO_CHARTS = "none"


@dataclass(frozen=True)
class View:
    """What is looked at: words, filters, order and, if one is open, a pair.

    `charts` are columns (None: the usual ones), `page` is the cursor that leads to the page ("": the first).
    """

    text: str = ""
    filters: tuple[Filter, ...] = ()
    sort: Sort = IN_ORDER
    pair: str = ""
    charts: tuple[str, ...] | None = None
    page: str = ""

    def link(self) -> dict[str, str]:
        """The parameters of an address that brings this view back; empty ones are left out."""
        where = " and ".join(str(item) for item in self.filters)
        sort = "" if self.sort == IN_ORDER else str(self.sort)
        charts = "" if self.charts is None else ",".join(self.charts) or NO_CHARTS
        found = dict(zip(ADDRESS, (self.text, where, sort, self.pair, charts, self.page), strict=True))
        return {"tab": "corpus", **{key: value for key, value in found.items() if value}}

    @classmethod
    def read(cls, query: str) -> "View | None":
        """From the query of an address (`?tab=corpus&…`); None if it asks for another tab.

        Raises:
            UserError: if its filters are not understood.
        """
        found = {key: values[0] for key, values in parse_qs(query.removeprefix("?")).items()}
        if found.get("tab") != "corpus":
            return None
        text, where, sort, pair, charts, page = (found.get(key, "") for key in ADDRESS)
        chosen = tuple(name for name in charts.split(",") if name != NO_CHARTS) if charts else None
        return cls(text, read_filters(where), Sort.read(sort), pair, chosen, page)


def cut(text: str, limit: int = NAME_CHARACTERS) -> str:
    """What a line has room for: a voice may have a name of 100 kB."""
    return text if len(text) <= limit else text[:limit] + "…"


def spoken_text(text: str, language: str, limit: int) -> str:
    """A text of the corpus: whatever it holds, it is shown as text and turns nothing around it."""
    return f'<bdi lang="{html.escape(language)}">{html.escape(cut(text, limit))}</bdi>'


def column_label(column: Column, language: Language) -> str:
    return column.label(language)


# -- the list --------------------------------------------------------------------------------------------------------


def pair_list(page: Page, opened: str, sort: Column | None, language: Language) -> str:
    """One page; each row is a button."""
    if not page.rows:
        return f"<p>{html.escape(say('corpus_none', language))}</p>"
    return f'<ol class="pairs">{"".join(_row(row, opened, sort) for row in page.rows)}</ol>'


def _row(row: dict[str, Any], opened: str, sort: Column | None) -> str:
    sides = "".join(
        spoken_text(row[f"{side}_text"], row[f"{side}_language"], ROW_CHARACTERS) for side in ("source", "target")
    )
    facts = [_arrow(row["source_voice"], row["target_voice"]), _arrow(*map(_seconds, _lengths(row)))]
    if sort is not None and not sort.name.endswith("_seconds"):
        facts.append("—" if row["value"] is None else f"{row['value']:.4g} {sort.unit}")
    current = ' aria-current="true"' if row["id"] == opened else ""
    info = html.escape(" · ".join(fact for fact in facts if fact))
    button = f'<button type="button" data-pair="{html.escape(row["id"])}"{current}>'
    return f"<li>{button}{sides}<small>{info}</small></button></li>"


def _lengths(row: dict[str, Any]) -> tuple[float | None, float | None]:
    return row["source_seconds"], row["target_seconds"]


def _seconds(value: float | None) -> str | None:
    return None if value is None else f"{value:.1f} s"


def _arrow(first: str | None, second: str | None) -> str:
    return f"{cut(first or '?')} → {cut(second or '?')}" if first or second else ""


def totals(corpus: Corpus, view: View, sentence: str, language: Language) -> str:
    """How many pairs and hours, under which conditions; and how many a missing value left out."""
    found = corpus.count(view.text, view.filters)
    words = say("corpus_total", language, pairs=f"{found.pairs:,}", hours=f"{found.hours:.2f}", sentence=sentence)
    missing = say("corpus_left_out", language, missing=f"{found.missing:,}") if found.missing else ""
    return f"<p><bdi>{html.escape(words)}</bdi> {html.escape(missing)}</p>"


# -- one pair --------------------------------------------------------------------------------------------------------


def pair_texts(pair: Pair, language: Language) -> str:
    """Both texts, each with what the recogniser heard where that is known."""
    return "".join(
        _side(utterance, key, language)
        for key, utterance in (("corpus_source", pair.source), ("corpus_target", pair.target))
    )


def _side(utterance: Utterance, key: str, language: Language) -> str:
    voice = f" · {html.escape(cut(utterance.voice))}" if utterance.voice else ""
    heard = "" if utterance.heard is None else _heard(utterance, language)
    text = spoken_text(utterance.text, utterance.language, PAIR_CHARACTERS)
    return f'<div class="pair-side"><small>{html.escape(say(key, language))}{voice}</small><p>{text}</p>{heard}</div>'


def _heard(utterance: Utterance, language: Language) -> str:
    wanted = utterance.reading or normalise_for_scoring(utterance.text, utterance.language)
    difference = differences(wanted, str(utterance.heard), utterance.language)
    if difference is None:
        return f'<p class="heard">{html.escape(say("corpus_same", language))}</p>'
    return f'<p class="heard">{html.escape(say("corpus_heard", language))} <bdi>{difference}</bdi></p>'


def differences(wanted: str, heard: str, language: str) -> str | None:
    """What was heard, marked where it differs from what was wanted (English by word, else by letter); None if not."""
    gap = " " if language == "en" else ""
    first, second = (_units(text[:PAIR_CHARACTERS], language) for text in (wanted, heard))
    if first == second:
        return None
    parts = []
    for kind, a, b, c, d in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind == "equal":
            parts.append(html.escape(gap.join(second[c:d])))
            continue
        lost, new = (html.escape(gap.join(units)) for units in (first[a:b], second[c:d]))
        parts.append((f"<del>{lost}</del>" if lost else "") + (f"<ins>{new}</ins>" if new else ""))
    return gap.join(parts)


def _units(text: str, language: str) -> list[str]:
    return text.split() if language == "en" else list("".join(text.split()))


def signals(corpus: Corpus, pair: Pair, language: Language) -> str:
    """Each signal of the pair and where it lies in the corpus; a missing one is shown as missing."""
    title = f"<h4>{html.escape(say('corpus_signals', language))}</h4>"
    if not corpus.signals:
        return f"{title}<p>{html.escape(say('corpus_no_signals', language))}</p>"
    rows = "".join(
        _signal(corpus, name, version, pair.signals.get(name), language) for name, version in corpus.signals.items()
    )
    return f'{title}<div class="scrolling"><table class="signals">{rows}</table></div>'


def _signal(corpus: Corpus, name: str, version: str, value: float | None, language: Language) -> str:
    column, whole = corpus.columns[name], corpus.histogram(name)
    shown = say("corpus_missing", language) if value is None else f"{value:.4g} {column.unit}"
    share = "" if value is None or whole is None else f"{100 * whole.share_below(value):.0f}"
    above = say("corpus_above", language, share=share) if share else ""
    title = html.escape(say("corpus_version", language, version=version))
    picture = charts.strip(whole, value) if whole is not None else ""
    return (
        f'<tr><th scope="row" class="name" title="{title}">{html.escape(column.label(language))}</th>'
        f'<td class="fact">{html.escape(shown)}</td><td class="fact">{picture}</td>'
        f'<td class="fact">{html.escape(above)}</td></tr>'
    )


def provenance(pair: Pair, language: Language) -> str:
    """Origin, licence, template, split, models and seeds."""
    known = {f"column_{name}": value for name, value in pair.provenance.items()} | {"column_split": pair.split}
    for name, side in (("source", pair.source), ("target", pair.target)):
        seed = "" if side.seed is None else f" · seed {side.seed}"
        known[f"column_{name}_model"] = f"{side.model}{seed}" if side.model else ""
    rows = "".join(
        f"<dt>{html.escape(say(key, language))}</dt><dd><bdi>{html.escape(cut(value, PAIR_CHARACTERS))}</bdi></dd>"
        for key, value in known.items()
        if value
    )
    title = html.escape(say("corpus_provenance", language))
    return f'<h4>{title}</h4><dl class="outcome">{rows}<dt>ID</dt><dd>{html.escape(pair.id)}</dd></dl>'


def ratings(found: PairRatings, language: Language) -> str:
    """What raters said so far: means, defects, and how the pair fared beside others."""
    title = f"<h4>{html.escape(say('corpus_ratings', language))}</h4>"
    rows = [(say(f"listening_{name}", language), _mean(mean, language)) for name, mean in found.means.items()]
    rows += [
        (say(f"listening_{name}", language), _counts("fared", fared, language))
        for name, fared in found.comparisons.items()
    ]
    if found.flags:
        rows.append((say("listening_column_flags", language), _counts("flag", found.flags, language)))
    if not rows:
        return f"{title}<p>{html.escape(say('corpus_no_ratings', language))}</p>"
    lines = "".join(f"<dt>{html.escape(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in rows)
    return f'{title}<dl class="outcome">{lines}</dl>'


def _mean(found: Interval, language: Language) -> str:
    mean = f"{found.value:.2f}"
    if found.low is not None and found.high is not None:
        mean += f" [{found.low:.2f}, {found.high:.2f}]"
    return say("corpus_rating", language, mean=mean, n=found.n)


def _counts(kind: str, counts: Mapping[str, int], language: Language) -> str:
    return ", ".join(f"{say(f'listening_{kind}_{name}', language)}: {n}" for name, n in counts.items())


# -- distributions ---------------------------------------------------------------------------------------------------


def plots(corpus: Corpus, view: View, columns: Sequence[str], facets: Facets, language: Language) -> str:
    """A chart for each column, of the whole corpus and of what the view holds; `facets` of the columns of choices."""
    parts = [_plot(corpus, view, corpus.columns[name], facets, language) for name in columns if name in corpus.columns]
    if COVERAGE in columns:
        parts.append(_coverage(corpus, view, facets, language))
    return f'<div class="mels">{"".join(parts)}</div>'


def _plot(corpus: Corpus, view: View, column: Column, facets: Facets, language: Language) -> str:
    label = column.label(language)
    if column.kind == "choice":
        facet = facets.get(column.name, Facet())
        shown = [(cut(value or say("corpus_missing", language)), n) for value, n in facet[:BARS]]
        return charts.bars(shown, label, _more(len(facet) - len(shown) + facet.more, language))
    chart = corpus.histogram(column.name, view.text, view.filters)
    if chart is None:
        return f"<p>{html.escape(say('corpus_no_values', language, column=label))}</p>"
    return charts.histogram(chart, label, language, f" {column.unit}" if column.unit else "")


def _more(n: int, language: Language) -> str:
    return say("corpus_more", language, n=f"{n:,}") if n > 0 else ""


def _coverage(corpus: Corpus, view: View, facets: Facets, language: Language) -> str:
    """How many pairs each of the most frequent templates has with each of the most frequent voices."""
    values = [[value for value, _ in facets[name] if value is not None][:BARS] for name in CROSSED]
    rows, columns = values
    found = corpus.crossed((CROSSED[0], rows), (CROSSED[1], columns), view.text, view.filters)
    counts = [[found.get((row, column), 0) for column in columns] for row in rows]
    left = sum(len(facets[name]) + facets[name].more - len(shown) for name, shown in zip(CROSSED, values, strict=True))
    title, more = say("corpus_coverage", language), _more(left, language)
    return charts.grid(list(map(cut, rows)), list(map(cut, columns)), counts, title, more)
