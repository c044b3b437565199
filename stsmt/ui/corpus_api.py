"""The endpoints /search and /pair for programs: plain values in, plain values out."""

from typing import Any

import gradio as gr

from stsmt.audio import Audio
from stsmt.corpus.filters import check_filters, read_filters, to_sentence
from stsmt.corpus.keyset import Sort
from stsmt.corpus.pairs import Pair, Utterance
from stsmt.corpus.search import PAGE, Corpus
from stsmt.ui.forms import shown_errors
from stsmt.ui.sounds import Sounds
from stsmt.ui.streaming import pcm
from stsmt.ui.strings import visitor_language

Sound = tuple[int, Any] | None


class CorpusEndpoints:
    """The functions behind the endpoints; their docstrings are what clients and agents read."""

    def __init__(self, corpus: Corpus, sounds: Sounds) -> None:
        self._corpus, self._sounds = corpus, sounds

    def search(
        self, text: str, filters: Any, cursor: str, sort: str, limit: float, visitor: gr.Request
    ) -> dict[str, Any]:
        """Find pairs of the corpus; pages follow each other by their cursors.

        Args:
            text: Words that must all be found, in either language, as parts of words too; "" for all pairs.
            filters: A text such as "target_seconds > 3 and target_voice in (slt, rms)", or a list of objects with
                column, operator and value.
            cursor: What the page before gave as its cursor; "" for the first page.
            sort: A column of numbers, with a minus sign for the largest first; "" for the order of the corpus.
            limit: Pairs on a page, at most 50.

        Returns:
            The pairs, how many there are in all, their hours, how many lack a filtered value, and the next cursor.
        """
        with shown_errors(visitor_language(visitor), page=False):
            checked = check_filters(read_filters(filters), self._corpus.columns)
            page = self._corpus.search(text or "", checked, Sort.read(sort), cursor or None, int(limit or PAGE))
            totals = self._corpus.count(text or "", checked)
        words = {language: to_sentence(checked, self._corpus.columns, language) for language in ("en", "ja")}  # type: ignore[arg-type]
        numbers = {"total": totals.pairs, "hours": round(totals.hours, 4), "missing": totals.missing}
        return {**numbers, "filters": words, "pairs": list(page.rows), "cursor": page.cursor}

    def pair(self, id: str, visitor: gr.Request) -> tuple[Sound, Sound, dict[str, Any]]:
        """Hear one pair of the corpus and see what is known about it.

        Args:
            id: The id of the pair, as /search gives it.

        Returns:
            The source and the translation as WAV files, and details (texts, voices, provenance, signals).
        """
        with shown_errors(visitor_language(visitor), page=False):
            pair = self._corpus.pair(id or "")
            source, target = (_sound(self._sounds.of(pair, side)) for side in ("source", "target"))
        return source, target, pair_json(pair)


def pair_json(pair: Pair) -> dict[str, Any]:
    """What is known of a pair, without its codes and without the places of files."""
    return {
        "id": pair.id,
        "split": pair.split,
        "source": _side(pair.source),
        "target": _side(pair.target),
        "provenance": dict(pair.provenance),
        "signals": dict(pair.signals),
    }


def _side(utterance: Utterance) -> dict[str, Any]:
    return {key: value for key, value in vars(utterance).items() if key not in ("codes", "audio")}


def _sound(audio: Audio | None) -> Sound:
    return None if audio is None or not len(audio.samples) else pcm(audio)


def corpus_endpoints(corpus: Corpus, sounds: Sounds, options: dict[str, Any]) -> None:
    """Register the endpoints on components that the page does not show; their values are the parameters' defaults."""
    served = CorpusEndpoints(corpus, sounds)
    with gr.Column(visible=False):
        text, cursor, sort, id = (gr.Textbox("", label=key) for key in ("text", "cursor", "sort", "id"))
        filters, limit, button = gr.JSON([], label="filters"), gr.Number(PAGE, label="limit"), gr.Button()
        found, details = gr.JSON(label="found"), gr.JSON(label="details")
        sounds_out = [gr.Audio(label=key) for key in ("source", "target")]
    shared = {"show_progress": "hidden", **options}
    button.click(served.search, [text, filters, cursor, sort, limit], found, api_name="search", **shared)
    button.click(served.pair, id, [*sounds_out, details], api_name="pair", **shared)
