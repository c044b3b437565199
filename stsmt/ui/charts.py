"""Histograms and bars as HTML in the theme's colours, each with its numbers in words for who cannot see it."""

import html
from collections.abc import Sequence

from stsmt.corpus.search import Histogram
from stsmt.example import Language
from stsmt.ui.strings import say


def histogram(chart: Histogram, column: str, language: Language, unit: str = "") -> str:
    """All pairs in pale bars, the selected ones in strong bars before them, each scaled to its own highest."""
    words = {
        "column": column,
        "selected": f"{sum(chart.selected):,}",
        "all": f"{sum(chart.all):,}",
        "low": f"{chart.low:.3g}",
        "high": f"{chart.high:.3g}",
        "missing": f"{chart.missing:,}",
    }
    alternative = html.escape(say("corpus_histogram_alt", language, **words))
    legend = f"{say('corpus_missing', language)}: {chart.missing:,}" if chart.missing else ""
    middle = (chart.low + chart.high) / 2
    ticks = "".join(f"<span>{value:.3g}{html.escape(unit)}</span>" for value in (chart.low, middle, chart.high))
    return (
        f'<figure class="chart"><figcaption>{html.escape(column)} <small>{html.escape(legend)}</small></figcaption>'
        f'<div class="chart-bars" role="img" aria-label="{alternative}">{_bins(chart)}</div>'
        f'<div class="chart-ticks" aria-hidden="true">{ticks}</div></figure>'
    )


def _bins(chart: Histogram) -> str:
    return "".join(
        f'<span><i style="height:{all_:.1f}%"></i><b style="height:{selected:.1f}%"></b></span>'
        for all_, selected in zip(_heights(chart.all), _heights(chart.selected), strict=True)
    )


def _heights(counts: Sequence[int]) -> list[float]:
    """In percent of the highest; what is there at all is at least 2 % high."""
    top = max(counts, default=0) or 1
    return [max(2.0, 100 * n / top) if n else 0.0 for n in counts]


def strip(chart: Histogram, value: float | None) -> str:
    """A histogram no higher than a line of text, with a mark where `value` lies."""
    bars = "".join(f'<i style="height:{height:.0f}%"></i>' for height in _heights(chart.all))
    if value is None:
        return f'<span class="strip" aria-hidden="true">{bars}</span>'
    place = (value - chart.low) / (chart.high - chart.low) if chart.high > chart.low else 0.5
    mark = f'<b style="left:{100 * min(max(place, 0.0), 1.0):.1f}%"></b>'
    return f'<span class="strip" aria-hidden="true">{bars}{mark}</span>'


def bars(counts: Sequence[tuple[str, int]], column: str, more: str = "") -> str:
    """One horizontal bar per value, its count beside it; `more` says what is not shown."""
    top = max((n for _, n in counts), default=0) or 1
    rows = "".join(
        f'<dt>{html.escape(value)}</dt><dd><i style="width:{100 * n / top:.1f}%"></i><span>{n:,}</span></dd>'
        for value, n in counts
    )
    return f'<figure class="chart">{_caption(column, more)}<dl class="bars">{rows}</dl></figure>'


def grid(rows: Sequence[str], columns: Sequence[str], counts: Sequence[Sequence[int]], title: str, more: str) -> str:
    """A table of counts, each cell the stronger the more there are; an empty one stands out."""
    top = max((n for line in counts for n in line), default=0) or 1
    head = "".join(f'<th scope="col">{html.escape(name)}</th>' for name in columns)
    body = "".join(
        f'<tr><th scope="row">{html.escape(name)}</th>{"".join(_cell(n, top) for n in line)}</tr>'
        for name, line in zip(rows, counts, strict=True)
    )
    table = f'<table class="grid"><tr><td></td>{head}</tr>{body}</table>'
    return f'<figure class="chart">{_caption(title, more)}<div class="scrolling">{table}</div></figure>'


def _cell(n: int, top: int) -> str:
    return f'<td style="--share:{100 * n / top:.0f}%">{n:,}</td>' if n else '<td class="none">0</td>'


def _caption(title: str, more: str) -> str:
    return f"<figcaption>{html.escape(title)} <small>{html.escape(more)}</small></figcaption>"
