"""The app: `build_app` lays it out, `launch_options` say how it is served. It knows Gradio and the translator only."""

import html
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gradio as gr

from stsmt.corpus.search import Corpus
from stsmt.listening.summary import PairRatings
from stsmt.translator import Translator
from stsmt.ui import live
from stsmt.ui.about import about
from stsmt.ui.api import endpoints
from stsmt.ui.corpus import BUSY, CorpusStudio, corpus_tab
from stsmt.ui.corpus_api import corpus_endpoints
from stsmt.ui.forms import read_examples
from stsmt.ui.listening import Listening, listening_tab
from stsmt.ui.live import Studio
from stsmt.ui.page import Page
from stsmt.ui.sounds import Sounds, decoder
from stsmt.ui.streaming import Memory, provide_ffmpeg
from stsmt.ui.strings import label, translations

CACHE_SECONDS = 1800  # files of visitors are deleted when they are this old; it is looked for as often
MAX_UPLOAD = "50mb"  # 60 s of speech in any sensible format; longer recordings get a sentence of their own
STYLE = Path(__file__).with_name("style.css")


def build_app(
    translator: Translator,
    *,
    examples: Path | None = None,
    corpus: Corpus | None = None,
    on_send: Callable[[list[str]], int] | None = None,
    ratings_of: Callable[[str], PairRatings] | None = None,
    listening: Listening | None = None,
    no_listening: str = "",
    at_once: int = 1,
) -> gr.Blocks:
    """The whole page; `examples` is a folder with clips and their `examples.json`.

    With a `corpus` there is a tab to browse it: `on_send` takes the ids of pairs that somebody wants rated and returns
    how many it took, `ratings_of` tells what raters said of a pair. With a `listening` test there is one for it, or
    the sentence `no_listening` in its place. `at_once` answers are made at the same time, everybody else waits in line.
    """
    studio = Studio(
        memory=Memory(translator),
        voices=dict(translator.prompt.voices),
        default_mode=translator.prompt.default_mode,
        examples=read_examples(examples) if examples else [],
        streams=provide_ffmpeg(),
        at_once=at_once,
    )
    with Page(
        title="stsmt", analytics_enabled=False, delete_cache=(CACHE_SECONDS, CACHE_SECONDS), fill_width=False
    ) as app:
        gr.Markdown(label("head"), elem_classes="head")
        with gr.Tabs() as tabs:
            with gr.Tab(label("tab_sts"), id="sts"):
                live.speech_to_speech(studio)
            with gr.Tab(label("tab_tts"), id="tts"):
                live.text_to_speech(studio)
            with gr.Tab(label("tab_stt"), id="stt"):
                live.speech_to_text(studio)
            if corpus is not None:
                sounds = Sounds(decoder(translator.codec))
                with gr.Tab(label("tab_corpus"), id="corpus"):
                    corpus_tab(CorpusStudio(corpus, sounds, on_send, ratings_of), app, tabs)
            if listening is not None:
                with gr.Tab(label("listening_tab"), id="listening"):
                    listening_tab(listening, app)
            elif no_listening:
                with gr.Tab(label("listening_tab"), id="listening"):
                    gr.HTML(f'<p role="alert">{html.escape(no_listening)}</p>')
            with gr.Tab(label("tab_about"), id="about"):
                about(translator.card)
        endpoints(studio.memory, studio.line)
        if corpus is not None:
            corpus_endpoints(corpus, sounds, BUSY)
    app.queue(max_size=32)
    return app


def launch_options() -> dict[str, Any]:
    """Arguments for `launch`: words, look, and what is not kept."""
    return {
        "i18n": translations(),
        "theme": theme(),
        "css_paths": [STYLE],
        "js": "() => { document.documentElement.lang = navigator.language || 'en'; }",
        "run_history": False,
        "max_file_size": MAX_UPLOAD,
        "footer_links": ["api", "settings"],
    }


def theme() -> gr.Theme:
    """Calm colours and the fonts of the visitor's system: nothing is fetched from elsewhere."""
    fonts = ["system-ui", "Hiragino Sans", "Noto Sans CJK JP", "Noto Sans JP", "Yu Gothic UI", "sans-serif"]
    soft = gr.themes.Soft(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=fonts,
        font_mono=["ui-monospace", "Consolas", "monospace"],
    )
    return soft.set(background_fill_primary="*neutral_50", **_plain_labels(), **_contrast())  # set() would reset it


def _plain_labels() -> dict[str, str]:
    """Labels as quiet text instead of coloured badges."""
    plain = {"background_fill": "transparent", "background_fill_dark": "transparent", "text_weight": "500"}
    flat = {"block_label_shadow": "none", "block_label_border_width": "0px", "block_title_padding": "0px"}
    colours = {"text_color": "*neutral_600", "text_color_dark": "*neutral_300", "text_size": "*text_sm"}
    both = {f"block_{kind}_{key}": value for kind in ("label", "title") for key, value in (plain | colours).items()}
    return both | flat


def _contrast() -> dict[str, str]:
    """At least 4.5 : 1 between words and what they stand on, 3 : 1 around what can be ticked (WCAG AA)."""
    filled = {
        f"{part}{mode}": value
        for part, value in (
            ("button_primary_background_fill", "*primary_700"),
            ("button_primary_background_fill_hover", "*primary_800"),
            ("checkbox_label_background_fill_selected", "*primary_700"),
            ("checkbox_background_color_selected", "*primary_800"),
        )
        for mode in ("", "_dark")
    }
    filled["color_accent"] = "*primary_600"
    filled |= {"checkbox_border_color": "*neutral_500", "checkbox_border_color_hover": "*neutral_700"}
    filled |= {"checkbox_border_color_dark": "*neutral_400", "checkbox_border_width_dark": "1px"}
    return {**filled, "body_text_color_subdued": "*neutral_600", "body_text_color_subdued_dark": "*neutral_400"}
