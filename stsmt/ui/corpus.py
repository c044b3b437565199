"""The Corpus tab: search while typing, filters, facets, charts, pages, and one pair to hear and look at.

Nothing loads more than one page. The form is the state: what is asked is read from it on every event.
"""

import html
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr
from gradio.components import Component

from stsmt.corpus.columns import Column
from stsmt.corpus.filters import MAX_CHARACTERS, Filter, check_filters, parse_filters, read_filters, to_sentence
from stsmt.corpus.keyset import Sort
from stsmt.corpus.pairs import Pair
from stsmt.corpus.search import Corpus
from stsmt.errors import UserError
from stsmt.example import LANGUAGES, Language
from stsmt.listening.summary import PairRatings
from stsmt.ui import corpus_view, plots
from stsmt.ui.corpus_layout import (
    FACETS,
    MOST_PLOTS,
    PLOTS,
    SEARCHED,
    SEND_AT_MOST,
    Builder,
    Parts,
    pair_side,
    search_side,
    send_side,
)
from stsmt.ui.corpus_view import Facets, View
from stsmt.ui.forms import PRIVATE, shown_errors
from stsmt.ui.sounds import Sounds
from stsmt.ui.streaming import pcm
from stsmt.ui.strings import say, sentence, visitor_language

BUSY: dict[str, Any] = {"concurrency_id": "corpus", "concurrency_limit": 8}
Updates = dict[Component, Any]
WALKING_KEYS = ("ArrowDown", "ArrowUp", "Enter", "Escape", "Tab", "Shift")  # in a list, without looking for anything

# A player takes its own `autoplay` from Python only once; the sound has just been set when this runs.
PLAY_SOURCE = "() => setTimeout(() => document.querySelector('#pair-source audio')?.play(), 100)"
READ_ADDRESS = "() => [window.location.search]"
WRITE_ADDRESS = """(link) => {
  const url = new URL(window.location), wanted = JSON.parse(link || '{}');
  const opened = wanted.pair && wanted.pair !== url.searchParams.get('pair');
  if (opened && window.innerWidth < 700)  // there the pair stands below the list
    document.querySelector('.pair-column').scrollIntoView({behavior: 'smooth'});
  for (const key of ['tab', 'q', 'where', 'sort', 'pair', 'charts', 'page']) url.searchParams.delete(key);
  for (const [key, value] of Object.entries(wanted)) url.searchParams.set(key, value);
  window.history.replaceState(null, '', url);
  for (const row of document.querySelectorAll('.pairs [data-pair]'))
    if (row.dataset.pair === wanted.pair) row.setAttribute('aria-current', 'true');
    else row.removeAttribute('aria-current');
}"""


@dataclass(frozen=True)
class CorpusStudio:
    """What the tab works with: the index, the sound of its pairs, where chosen ids go, and what raters said of a pair.

    `on_send` takes ids of pairs and returns how many of them were taken.
    """

    corpus: Corpus
    sounds: Sounds
    on_send: Callable[[list[str]], int] | None = None
    ratings_of: Callable[[str], PairRatings] | None = None


# -- layout ----------------------------------------------------------------------------------------------------------


def corpus_tab(studio: CorpusStudio, app: gr.Blocks, tabs: gr.Tabs) -> "Tab":
    """Lay the tab out and connect it; `app` and `tabs` so that a link can open it."""
    with gr.Row(equal_height=False, elem_classes="studio"):
        with gr.Column(min_width=300, scale=3):
            parts, builder = search_side(studio.corpus)
        with gr.Column(min_width=300, scale=2, elem_classes="pair-column"):
            parts.pair = pair_side(rated=studio.ratings_of is not None)
            send = send_side() if studio.on_send is not None else None
    tab = Tab(studio, parts, tabs)
    _connect_search(tab, builder)
    options: dict[str, Any] = {**PRIVATE, **BUSY}
    placed = [*parts.form, parts.pages]
    parts.rows.select(tab.open, placed, parts.outputs, **options)
    for step, button in ((-1, parts.pair["before"]), (1, parts.pair["after"])):
        opened = button.click(tab.stepper(step), placed, parts.outputs, **options)  # type: ignore[attr-defined]
        opened.success(None, js=PLAY_SOURCE)
    parts.link.change(None, parts.link, None, js=WRITE_ADDRESS)
    app.load(tab.restore, parts.link, [tabs, *parts.outputs], js=READ_ADDRESS, **options)
    if send is not None:
        found, pair, count, message = send
        found.click(tab.send_found, [count, *parts.form], message, **options)
        pair.click(tab.send_pair, parts.opened, message, **options)
    return tab


def _connect_search(tab: "Tab", builder: Builder) -> None:
    parts, (column, operator, value, add) = tab.parts, builder
    options: dict[str, Any] = {**PRIVATE, **BUSY}
    inputs: list[Any] = [part for part in parts.form if part is not parts.opened]
    # Text that an input method inserts is a change without a key: `input` would not notice it.
    changed = [part.change if isinstance(part, gr.Textbox) else part.input for part in inputs]
    gr.on(changed, tab.refresh, parts.form, parts.outputs, trigger_mode="always_last", **options)
    paging = [*parts.form, parts.pages]
    parts.forward.click(tab.forward, paging, parts.outputs, **options)
    parts.back.click(tab.back, paging, parts.outputs, **options)
    adding = [column, operator, value, *parts.form]
    gr.on([add.click, value.submit], tab.add_filter, adding, parts.outputs, **options)
    for name in SEARCHED:
        facet = parts.facets[name]
        facet.key_up(tab.facet_search(name), parts.form, facet, trigger_mode="always_last", **options)


# -- handlers --------------------------------------------------------------------------------------------------------


class Tab:
    """The handlers of the tab; each gets the form's values in the order of `Parts.form`."""

    def __init__(self, studio: CorpusStudio, parts: Parts, tabs: gr.Tabs) -> None:
        self.studio, self.parts, self.tabs, self.corpus = studio, parts, tabs, studio.corpus

    def view(self, values: Sequence[Any], cursor: str | None = None) -> View:
        """What the form asks for, on the page that a cursor leads to.

        Raises:
            UserError: if a filter cannot be used.
        """
        text, sort, descending, chips, shown, opened, *facets = values
        filters = [item for chip in chips or () for item in parse_filters(chip)]
        chosen = zip(self.parts.facets, facets, strict=True)
        filters += [Filter(name, "in", tuple(picked)) for name, picked in chosen if picked]
        checked = check_filters(filters, self.corpus.columns)
        charts = None if list(shown or ()) == list(PLOTS) else tuple(shown or ())
        return View(text or "", checked, Sort(sort or "number", bool(descending)), opened or "", charts, cursor or "")

    def refresh(self, visitor: gr.Request, *values: Any) -> Iterator[Updates]:
        """The first page as soon as it is found, then counts, facets and charts."""
        language = visitor_language(visitor)
        with shown_errors(language):
            view = self.view(values)
            yield self._page(view, [None], language)
            yield self._around(view, language)

    def forward(self, visitor: gr.Request, *values: Any) -> Updates:
        *form, (before, following) = values
        return self._turn(visitor, form, [*before, following] if following else before)

    def back(self, visitor: gr.Request, *values: Any) -> Updates:
        *form, (before, _) = values
        return self._turn(visitor, form, before[:-1] or [None])

    def _turn(self, visitor: gr.Request, form: Sequence[Any], cursors: list[str | None]) -> Updates:
        language = visitor_language(visitor)
        with shown_errors(language):
            view = self.view(form, cursors[-1])
            return self._page(view, cursors, language) | {self.parts.link: json.dumps(view.link())}

    def add_filter(self, visitor: gr.Request, column: str, operator: str, value: str, *form: Any) -> Iterator[Updates]:
        """One more filter; it is refused with a sentence if its value does not fit."""
        language, values = visitor_language(visitor), list(form)
        with shown_errors(language):
            made = check_filters([_made(column, operator, value, self.corpus.columns)], self.corpus.columns)[0]
        values[3] = list(dict.fromkeys([*(values[3] or ()), str(made)]))
        yield self._chips(values[3], language)
        yield from self.refresh(visitor, *values)

    def _chips(self, chips: list[str], language: Language) -> Updates:
        named = [(to_sentence(parse_filters(chip), self.corpus.columns, language), chip) for chip in chips]
        return {self.parts.chips: gr.update(choices=named, value=chips, visible=bool(chips))}

    def _page(self, view: View, cursors: list[str | None], language: Language) -> Updates:
        parts = self.parts
        page = self.corpus.search(view.text, view.filters, view.sort, cursors[-1])
        sort = self.corpus.columns.get(view.sort.column)
        return {
            parts.rows: corpus_view.pair_list(page, view.pair, sort, language),
            parts.back: gr.update(interactive=len(cursors) > 1),
            parts.forward: gr.update(interactive=page.cursor is not None),
            parts.pages: (cursors, page.cursor),
        }

    def _charts(self, view: View) -> list[str]:
        """The charts that the view has and the corpus can show."""
        columns = self.corpus.columns
        known = {corpus_view.COVERAGE, *(name for name, column in columns.items() if column.kind != "text")}
        return [name for name in (PLOTS if view.charts is None else view.charts) if name in known][:MOST_PLOTS]

    def _around(self, view: View, language: Language) -> Updates:
        """Counts, facets, charts and the address."""
        words, plotted = to_sentence(view.filters, self.corpus.columns, language), self._charts(view)
        columns = self.corpus.columns
        choices = [name for name in plotted if name in columns and columns[name].kind == "choice"]
        counts = self.corpus.facets([*FACETS, *choices], view.text, view.filters)
        facets: Updates = {part: self._facet(name, counts, view, language) for name, part in self.parts.facets.items()}
        return {
            **facets,
            self.parts.totals: corpus_view.totals(self.corpus, view, words, language),
            self.parts.charts: corpus_view.plots(self.corpus, view, plotted, counts, language),
            self.parts.link: json.dumps(view.link()),
        }

    def facet_search(self, name: str) -> Callable[..., Any]:
        """What is typed into a facet looks for values in the corpus: its list holds only the most frequent ones."""

        def handler(visitor: gr.Request, event: gr.KeyUpData, *values: Any) -> Any:
            if event.key in WALKING_KEYS:
                return gr.skip()
            language, typed = visitor_language(visitor), str(event.input_value or "")[:MAX_CHARACTERS]
            with shown_errors(language):
                view = self.view(values)
                found = self.corpus.facets([name], view.text, view.filters, part=typed)
                return self._facet(name, found, view, language)

        return handler

    def _facet(self, name: str, found: Facets, view: View, language: Language) -> Any:
        """A list to choose from; what is chosen stays in it, without a count where that is not known."""
        counts: dict[str | None, int | None] = dict(found[name])
        for item in view.filters:
            if item.column == name and item.operator == "in" and isinstance(item.value, tuple):
                counts |= {str(value): counts.get(str(value)) for value in item.value}
        usable = ((v, n) for v, n in counts.items() if v is not None and len(v) <= MAX_CHARACTERS)  # in a filter
        named = ((say(v, language) if v in LANGUAGES else corpus_view.cut(v), n, v) for v, n in usable)
        choices = [(shown if n is None else f"{shown} ({n:,})", value) for shown, n, value in named]
        more = found[name].more
        return gr.update(choices=choices, info=say("corpus_type", language, n=f"{more:,}") if more else None)

    # -- one pair ------------------------------------------------------------------------------------------------

    def open(self, visitor: gr.Request, event: gr.EventData, *values: Any) -> Updates:
        """The row that was clicked."""
        return self._open(visitor, str(event._data.get("pair", "")), values)

    def stepper(self, step: int) -> Callable[..., Updates]:
        """Open the pair before or after the one that is open."""

        def handler(visitor: gr.Request, *values: Any) -> Updates:
            with shown_errors(visitor_language(visitor)):
                view = self.view(values[:-1])
                before, after = self.corpus.neighbours(view.pair, view.text, view.filters, view.sort)
            found = before if step < 0 else after
            return self._open(visitor, found[0], values) if found else {}

        return handler

    def _open(self, visitor: gr.Request, id: str, values: Sequence[Any]) -> Updates:
        language = visitor_language(visitor)
        *form, (before, _) = values
        with shown_errors(language):
            view = self.view([*form[:5], id, *form[6:]], before[-1])
            pair = self.corpus.pair(id)
            link = {self.parts.opened: id, self.parts.link: json.dumps(view.link())}
            return link | self._shown(pair, view, language)

    def _shown(self, pair: Pair, view: View, language: Language) -> Updates:
        parts = self.parts.pair
        before, after = self.corpus.neighbours(pair.id, view.text, view.filters, view.sort)
        updates: Updates = {
            parts["texts"]: corpus_view.pair_texts(pair, language),
            parts["signals"]: corpus_view.signals(self.corpus, pair, language),
            parts["provenance"]: corpus_view.provenance(pair, language),
            parts["before"]: gr.update(interactive=bool(before)),
            parts["after"]: gr.update(interactive=bool(after)),
            **self._heard(pair, language),
        }
        if self.studio.ratings_of is not None:
            updates[parts["ratings"]] = corpus_view.ratings(self.studio.ratings_of(pair.id), language)
        return updates

    def _heard(self, pair: Pair, language: Language) -> Updates:
        """Players and spectrograms; a side that cannot be heard says why and the other one is heard."""
        updates: Updates = {}
        figures = []
        for side in ("source", "target"):
            try:
                audio, reason = self.studio.sounds.of(pair, side), say("corpus_no_sound", language)
            except UserError as error:
                audio, reason = None, sentence(str(error), language)
            value = None if audio is None else pcm(audio)
            updates[self.parts.pair[side]] = gr.update(value=value, visible=True if value else "hidden")
            if audio is None:
                figures.append(f"<figure><figcaption>{html.escape(reason)}</figcaption></figure>")
            else:
                alternative = say("figure_alt", language, seconds=f"{audio.seconds:.1f}")
                figures.append(plots.figure(audio, say(f"corpus_{side}", language), alternative))
        return updates | {self.parts.pair["figures"]: plots.figures(figures)}

    # -- links and sending ---------------------------------------------------------------------------------------

    def restore(self, query: str, visitor: gr.Request) -> Iterator[dict[Any, Any]]:
        """Bring back what an address describes; without one, or with one that is not understood, the first page."""
        language, asked, linked = visitor_language(visitor), View(), False
        page = self._page(asked, [None], language)
        try:
            if (found := View.read(query or "")) is not None:
                found = replace(found, filters=check_filters(found.filters, self.corpus.columns))
                cursors: list[str | None] = [None, found.page] if found.page else [None]
                page, asked, linked = self._page(found, cursors, language), found, True
        except UserError as error:
            gr.Warning(html.escape(sentence(str(error), language)))
        with shown_errors(language):
            yield self._form(asked, language) | page
            yield self._around(asked, language) | ({} if linked else {self.parts.link: ""})
            if linked:
                yield {self.tabs: gr.Tabs(selected="corpus")}
            if asked.pair:
                yield self._shown(self.corpus.pair(asked.pair), asked, language)

    def _form(self, view: View, language: Language) -> dict[Any, Any]:
        """The form that asks for a view."""
        facets = {item.column: item for item in view.filters if item.operator == "in" and item.column in FACETS}
        chips = [str(item) for item in view.filters if item not in facets.values()]
        picked = [list(facets[name].value) if name in facets else [] for name in FACETS]  # type: ignore[arg-type]
        values = [view.text, view.sort.column, view.sort.descending, chips, self._charts(view), view.pair]
        form = dict(zip(self.parts.form, [*values, *picked], strict=True))
        offered = ((part, values) for part, values in zip(self.parts.facets.values(), picked, strict=True))
        return form | self._chips(chips, language) | {part: gr.update(choices=v, value=v) for part, v in offered}

    def send_found(self, visitor: gr.Request, count: float | None, *values: Any) -> str:
        """A random sample of what is found, drawn by a fixed seed, goes to the listening test."""
        with shown_errors(visitor_language(visitor)):
            view = self.view(values)
            n = min(max(int(count or 0), 0), SEND_AT_MOST)
            return self._send(self.corpus.sample(view.filters, n, 0, view.text), visitor)

    def send_pair(self, visitor: gr.Request, opened: str) -> str:
        return self._send([opened] if opened else [], visitor)

    def _send(self, ids: list[str], visitor: gr.Request) -> str:
        assert self.studio.on_send is not None
        language = visitor_language(visitor)
        with shown_errors(language):
            taken = self.studio.on_send(ids) if ids else 0
            return f"<p>{html.escape(say('corpus_sent', language, count=taken))}</p>"


def _made(column: str, operator: str, value: str, columns: dict[str, Column]) -> Filter:
    """A filter from the builder's fields; lists and ranges are written as in `parse_filters`."""
    if operator in ("missing", "present"):
        return Filter(column, operator)
    if operator == "in":
        return Filter(column, operator, tuple(part.strip() for part in (value or "").split(",") if part.strip()))
    if operator == "between":
        return parse_filters(f"{column} between {value}")[0]
    kind = columns[column].kind if column in columns else "number"
    return read_filters(
        [{"column": column, "operator": operator, "value": value if kind != "number" else value or None}]
    )[0]
