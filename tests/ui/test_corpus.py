"""The Corpus tab and its endpoints, over a real index and a real server."""

import json
import re
from collections.abc import Callable, Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import gradio as gr
import numpy as np
import pytest
from gradio_client import Client
from gradio_client.exceptions import AppError

from stsmt.audio import Audio
from stsmt.corpus.filters import parse_filters
from stsmt.corpus.keyset import Sort
from stsmt.corpus.search import Corpus, Facet, Histogram
from stsmt.errors import UserError
from stsmt.listening.statistics import Interval
from stsmt.listening.summary import PairRatings
from stsmt.translator import Translator
from stsmt.ui import build_app, charts, launch_options
from stsmt.ui.corpus import CorpusStudio, Tab, corpus_tab
from stsmt.ui.corpus_view import View, differences, pair_list, pair_texts, plots, ratings, signals
from stsmt.ui.sounds import Sounds, decoder
from tests.corpus.conftest import index
from tests.corpus.pairs import make_pair, make_pairs

HOSTILE = '<img src=x onerror="alert(1)"> \u202e${1} {{x}} \'"'


def rated(n: int, mean: float, low: float | None = None, high: float | None = None) -> PairRatings:
    return PairRatings({"adequacy": Interval(mean, low, high, n)}, {}, {})


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    """The pairs of the tests and one with a hostile text."""
    return index(tmp_path_factory.mktemp("corpus"), [*make_pairs(60), make_pair(HOSTILE, HOSTILE, seed=77)])


@pytest.fixture(scope="module")
def sent() -> list[list[str]]:
    return []


@pytest.fixture(scope="module")
def client(translator: Translator, corpus: Corpus, sent: list[list[str]]) -> Iterator[Client]:
    def take(ids: list[str]) -> int:
        sent.append(ids)
        return len(ids)

    app = build_app(translator, corpus=corpus, on_send=take, ratings_of=lambda id: rated(3, 4.0))
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    yield Client(url, verbose=False)
    app.close(verbose=False)


# -- the endpoints ---------------------------------------------------------------------------------------------------


def test_programs_see_search_and_pair(client: Client) -> None:
    named = client.view_api(return_format="dict", print_info=False)["named_endpoints"]
    arguments = {name: [p["parameter_name"] for p in e["parameters"]] for name, e in named.items()}
    assert arguments["/search"] == ["text", "filters", "cursor", "sort", "limit"]
    assert arguments["/pair"] == ["id"]
    assert set(arguments) == {"/sts", "/tts", "/stt", "/compare", "/search", "/pair"}


def test_pages_of_the_api_visit_every_pair_once(client: Client, corpus: Corpus) -> None:
    ids, cursor = [], ""
    while cursor is not None:
        found = client.predict("", [], cursor, "-target_error_rate", 20, api_name="/search")
        ids += [row["id"] for row in found["pairs"]]
        cursor = found["cursor"]
    assert len(ids) == len(set(ids)) == found["total"] == corpus.count().pairs


def test_filters_of_the_api_are_data_or_text(client: Client) -> None:
    text = "target_error_rate >= 20"
    data = [{"column": "target_error_rate", "operator": ">=", "value": 20}]
    first, second = (client.predict("駅", given, api_name="/search") for given in (text, data))
    assert first == second
    assert 0 < first["total"] < 60
    assert first["filters"]["ja"] == "訳の認識誤り率が20%以上"
    assert first["missing"] > 0


def test_a_pair_is_heard_and_described_without_codes_and_paths(client: Client, corpus: Corpus) -> None:
    id = corpus.search("病院").rows[0]["id"]
    source, target, details = client.predict(id, api_name="/pair")
    assert Path(source).read_bytes()[:4] == Path(target).read_bytes()[:4] == b"RIFF"
    assert details["source"]["text"] == corpus.pair(id).source.text
    assert details["signals"].keys() == corpus.signals.keys()
    assert not {"codes", "audio"} & details["source"].keys()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", "planted = loop"), "There is no column"),
        (("駅" * 300,), "too long"),
        (("", [], "nonsense"), "cursor does not belong"),
        (("", [], "", "planted"), "cannot be sorted"),
    ],
)
def test_a_wrong_question_gets_one_sentence(client: Client, arguments: tuple[Any, ...], words: str) -> None:
    with pytest.raises(AppError, match=words) as caught:
        client.predict(*arguments, api_name="/search")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("id", ["", "nobody", "../../etc/passwd", "x" * 100_000])
def test_a_pair_that_is_none_gets_one_sentence(client: Client, id: str) -> None:
    with pytest.raises(AppError, match="There is no pair"):
        client.predict(id, api_name="/pair")


# -- sound -----------------------------------------------------------------------------------------------------------


def test_sound_is_decoded_once_and_at_most_so_many_are_kept() -> None:
    asked: list[int] = []

    def decode(codes: Any) -> Audio:
        asked.append(len(codes))
        return Audio(np.zeros(10, np.float32), 16000)

    sounds, pairs = Sounds(decode, size=2), make_pairs(3)
    for pair in (pairs[0], pairs[0], pairs[1], pairs[2], pairs[0]):
        sounds.of(pair, "source")
    assert len(asked) == 4


def test_codes_of_another_codec_are_refused(translator: Translator) -> None:
    decode = decoder(translator.codec)
    with pytest.raises(UserError, match="not of this model's codec"):
        decode([translator.codec.codebook_size])
    with pytest.raises(UserError, match="too long"):
        decode([0] * 100_000)


def test_a_recording_that_is_gone_says_so_without_its_place(tmp_path: Path, translator: Translator) -> None:
    pair = make_pairs(1)[0]
    gone = replace(pair, source=replace(pair.source, codes=(), audio=str(tmp_path / "gone.wav")))
    with pytest.raises(UserError, match="not there any more") as caught:
        Sounds(decoder(translator.codec)).of(gone, "source")
    assert str(tmp_path) not in str(caught.value)


# -- what is shown ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "heard", "language", "shown"),
    [
        ("where is it", "where is it", "en", None),
        ("where is it", "where was it", "en", "where <del>is</del><ins>was</ins> it"),
        ("エキハ", "エイハ", "ja", "エ<del>キ</del><ins>イ</ins>ハ"),
        ("エキ", "エ キ", "ja", None),
        ("a", "<b>", "en", "<del>a</del><ins>&lt;b&gt;</ins>"),
        ("a b", "", "en", "<del>a b</del>"),
    ],
)
def test_differences_to_what_was_heard_are_marked(wanted: str, heard: str, language: str, shown: str | None) -> None:
    assert differences(wanted, heard, language) == shown


def test_hostile_text_is_shown_as_text(corpus: Corpus) -> None:
    page = corpus.search("onerror")
    markup = pair_list(page, "", None, "en") + pair_texts(corpus.pair(page.rows[0]["id"]), "en")
    assert "<img" not in markup
    assert markup.count("&lt;img src=x onerror=&quot;alert(1)&quot;&gt;") == 4
    assert len(re.findall(r"<bdi lang=", markup)) == 4


def test_names_of_any_length_are_cut_where_they_are_shown_and_whole_where_they_are_data(
    tmp_path: Path, translator: Translator
) -> None:
    long = "v" * 100_000
    pair = make_pair(voices=(long, long), seed=5)
    with closing(index(tmp_path, [replace(pair, provenance={"template": long})])) as corpus:
        page, facets = corpus.search(), corpus.facets(["target_voice", "template"])
        made, view = tab_of(corpus, translator), View()
        shown = [
            pair_list(page, "", None, "en"),
            pair_texts(corpus.pair(pair.id), "en"),
            plots(corpus, view, ["target_voice", "template"], facets, "en"),
            str(made._around(view, "en")),
        ]
        assert max(map(len, shown)) < 20_000
        assert "v" * 50 in shown[0]
        assert (page.rows[0]["source_voice"], corpus.pair(pair.id).target.voice) == (long, long)


def test_a_list_holds_buttons_and_marks_the_open_pair(corpus: Corpus) -> None:
    page = corpus.search(limit=5)
    markup = pair_list(page, page.rows[2]["id"], corpus.columns["target_error_rate"], "ja")
    assert markup.count("<button type=") == 5
    assert markup.count("aria-current") == 1
    assert "該当するペアがありません" in pair_list(corpus.search("そんな文はない"), "", None, "ja")


def test_missing_signals_are_shown_as_missing(corpus: Corpus) -> None:
    pair = corpus.pair(corpus.search("", parse_filters("target_error_rate is missing")).rows[0]["id"])
    assert "missing" in signals(corpus, pair, "en")
    assert "なし" in signals(corpus, pair, "ja")
    assert "version 1" in signals(corpus, pair, "en")


def test_charts_say_in_words_what_they_show(corpus: Corpus) -> None:
    view = View("駅", parse_filters("source_voice = mei"))
    facets = corpus.facets(["target_voice"], view.text, view.filters)
    markup = plots(corpus, view, ["source_seconds", "target_voice", "nonsense"], facets, "en")
    assert 'aria-label="length of the source:' in markup
    assert "slt" in markup
    flat = charts.histogram(Histogram(1, 1, (0,) * 24, (0,) * 24, 0), "x", "ja")
    assert "コーパス" not in flat


def test_ratings_so_far_are_shown_only_if_there_are_any() -> None:
    assert "Nobody has rated" in ratings(PairRatings({}, {}, {}), "en")
    assert "4.25 [3.50, 5.00]" in ratings(rated(4, 4.25, 3.5, 5.0), "en")
    shown = ratings(PairRatings({}, {"loop": 2}, {"preference": {"won": 3, "tie": 1}}), "en")
    assert "Loop: 2" in shown and "preferred: 3, about the same: 1" in shown


@pytest.mark.parametrize(
    "view",
    [
        View(),
        View("駅 & station", parse_filters('source_voice in (mei, "mei-low") and target_text contains "a \\"b\\""')),
        View("", parse_filters("target_error_rate > 20"), Sort("target_error_rate", True), "0123456789abcdef"),
        View("", (), Sort(), "", ("split", "coverage"), "WyJudW1iZXIiLCA0OSwgNDld"),
        View("", (), Sort(), "", ()),
    ],
)
def test_a_link_brings_the_view_back(view: View) -> None:
    assert View.read("?" + urlencode(view.link())) == view
    json.dumps(view.link())


def test_a_link_to_another_tab_is_left_alone() -> None:
    assert View.read("") is View.read("?__theme=dark") is View.read("?tab=sts&q=x") is None


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    """130 templates, more than a facet offers at once; one of them with one voice only."""
    pairs = [make_pair(seed=i, voices=("mei", ("slt", "rms")[i % 2])) for i in range(260)]
    named = (replace(pair, provenance={"template": f"greeting {i // 2:03}"}) for i, pair in enumerate(pairs))
    rare = replace(make_pair(seed=999, voices=("mei", "rms")), provenance={"template": "Rare Farewell"})
    with closing(index(tmp_path_factory.mktemp("templates"), [*named, rare])) as made:
        yield made


def test_every_template_is_found_by_typing(templates: Corpus, translator: Translator) -> None:
    tab = tab_of(templates, translator)
    template = tab.parts.facets["template"]
    around = list(tab.refresh(JAPANESE, *form(tab)))[1]
    assert len(around[template]["choices"]) == 100
    assert around[template]["info"] == "ほか31件：入力して探せます"
    typing: Any = SimpleNamespace(key="l", input_value="farewell")
    found = tab.facet_search("template")(JAPANESE, typing, *form(tab))
    assert found["choices"] == [("Rare Farewell (1)", "Rare Farewell")]
    chosen = [*form(tab)[:-2], ["greeting 007"], []]
    found = tab.facet_search("template")(JAPANESE, typing, *chosen)
    assert [value for _, value in found["choices"]] == ["Rare Farewell", "greeting 007"]
    walking: Any = SimpleNamespace(key="ArrowDown", input_value="farewell")
    assert "choices" not in tab.facet_search("template")(JAPANESE, walking, *form(tab))


def test_charts_say_how_many_values_they_leave_out(templates: Corpus) -> None:
    facets = templates.facets(["template", "target_voice"])
    markup = plots(templates, View(), ["template", "target_voice"], facets, "en")
    assert markup.count("+119 more") == 1
    assert "+" not in plots(templates, View(), ["target_voice"], facets, "en")


def test_coverage_shows_which_voice_speaks_which_template(templates: Corpus) -> None:
    view = View("", parse_filters('template in ("Rare Farewell", "greeting 000")'))
    facets = {"template": Facet([("greeting 000", 2), ("Rare Farewell", 1)])} | templates.facets(["target_voice"])
    markup = plots(templates, view, ["coverage"], facets, "en")
    cells = re.findall(r"<td[^>]*>(\d+)</td>", markup)
    assert cells == ["1", "1", "1", "0"]
    assert markup.index("greeting 000") < markup.index("Rare Farewell")


# -- handlers --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def tab(corpus: Corpus, translator: Translator, sent: list[list[str]]) -> Tab:
    def take(ids: list[str]) -> int:
        sent.append(ids)
        return len(ids)

    return tab_of(corpus, translator, take)


def tab_of(corpus: Corpus, translator: Translator, take: Callable[[list[str]], int] = len) -> Tab:
    """The handlers behind a page that nobody looks at."""
    with gr.Blocks() as app, gr.Tabs() as tabs, gr.Tab("corpus"):
        return corpus_tab(CorpusStudio(corpus, Sounds(decoder(translator.codec)), take), app, tabs)


JAPANESE: Any = SimpleNamespace(headers={"accept-language": "ja"})


def form(tab: Tab, **values: Any) -> list[Any]:
    defaults = {
        "text": "",
        "sort": "number",
        "descending": False,
        "chips": [],
        "shown": ["source_seconds"],
        "opened": "",
    }
    return [*(defaults | values).values(), *[[] for _ in tab.parts.facets]]


def test_a_filter_is_added_shown_in_words_and_in_force(tab: Tab) -> None:
    steps = list(tab.add_filter(JAPANESE, "target_error_rate", ">=", "20", *form(tab)))
    chips = steps[0][tab.parts.chips]
    assert chips["choices"] == [("訳の認識誤り率が20%以上", "target_error_rate >= 20.0")]
    assert "訳の認識誤り率が20%以上" in steps[2][tab.parts.totals]
    assert json.loads(steps[2][tab.parts.link])["where"] == "target_error_rate >= 20.0"


def test_pages_go_forward_and_back(tab: Tab) -> None:
    first = next(tab.refresh(JAPANESE, *form(tab)))
    second = tab.forward(JAPANESE, *form(tab), first[tab.parts.pages])
    assert "page" in json.loads(second[tab.parts.link])
    again = tab.back(JAPANESE, *form(tab), second[tab.parts.pages])
    assert second[tab.parts.rows] != first[tab.parts.rows] == again[tab.parts.rows]
    assert again[tab.parts.pages] == first[tab.parts.pages]


def test_a_link_restores_form_list_and_pair(tab: Tab, corpus: Corpus) -> None:
    id = corpus.search("駅").rows[0]["id"]
    steps = list(tab.restore(f"?tab=corpus&q=駅&where=source_voice in (mei)&sort=-source_seconds&pair={id}", JAPANESE))
    assert steps[0][tab.parts.text] == "駅"
    assert steps[0][tab.parts.facets["source_voice"]]["value"] == ["mei"]
    assert (steps[0][tab.parts.sort], steps[0][tab.parts.descending]) == ("source_seconds", True)
    assert list(steps[2]) == [tab.tabs]
    assert "駅" in steps[3][tab.parts.pair["texts"]]


def test_a_link_restores_the_page_and_the_charts(tab: Tab, corpus: Corpus) -> None:
    asked = form(tab, shown=["split", "coverage"])
    steps = list(tab.refresh(JAPANESE, *asked))
    second = tab.forward(JAPANESE, *asked, steps[0][tab.parts.pages])
    opened = tab._open(JAPANESE, corpus.search().rows[0]["id"], [*asked, second[tab.parts.pages]])
    restored = list(tab.restore("?" + urlencode(json.loads(opened[tab.parts.link])), JAPANESE))
    assert rows_of(restored[0][tab.parts.rows]) == rows_of(second[tab.parts.rows])
    assert restored[0][tab.parts.shown] == ["split", "coverage"]
    assert restored[1][tab.parts.charts] == steps[1][tab.parts.charts]
    assert restored[0][tab.parts.back]["interactive"]
    first = tab.back(JAPANESE, *asked, restored[0][tab.parts.pages])
    assert rows_of(first[tab.parts.rows]) == rows_of(steps[0][tab.parts.rows])


def rows_of(markup: str) -> list[str]:
    """The ids of the pairs in a list."""
    return re.findall('data-pair="([^"]+)"', markup)


@pytest.mark.parametrize("charts", ["none", "nonsense,source_text", ",".join(["split"] * 50)])
def test_charts_of_a_link_are_those_that_there_are(tab: Tab, charts: str) -> None:
    steps = list(tab.restore(f"?tab=corpus&charts={charts}", JAPANESE))
    assert set(steps[0][tab.parts.shown]) <= {"split"}


@pytest.mark.parametrize(
    "query",
    ["", "?tab=corpus&page=nonsense", "?tab=corpus&sort=planted", "?tab=corpus&where=(", "?tab=corpus&q=" + "x" * 300],
)
def test_an_address_that_is_not_understood_gives_the_first_page(tab: Tab, query: str) -> None:
    with pytest.warns(UserWarning) if query else nullcontext():
        first, second = tab.restore(query, JAPANESE)
    assert "data-pair" in first[tab.parts.rows]
    assert second[tab.parts.link] == ""


def test_what_is_found_goes_to_the_listening_test(tab: Tab, sent: list[list[str]]) -> None:
    message = tab.send_found(JAPANESE, 5, *form(tab, text="駅"))
    assert "5ペア" in message
    assert len(set(sent[-1])) == 5
    tab.send_pair(JAPANESE, sent[-1][0])
    assert len(sent[-1]) == 1
