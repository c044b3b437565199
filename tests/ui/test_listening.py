"""The listening test through the app: a real server, simulated raters who ask it as programs do."""

import re
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
import soundfile
from gradio_client import Client
from gradio_client.exceptions import AppError

from stsmt.listening.backup import BackupStatus
from stsmt.listening.events import EventLog, read_events
from stsmt.listening.plan import make_plan, starting_plan
from stsmt.listening.protocol import ListeningTest
from stsmt.translator import Translator
from stsmt.ui import build_app, launch_options
from stsmt.ui.listening import Listening, backup_lines, tone
from stsmt.ui.listening_results import report, results, summarise, write_files
from stsmt.ui.strings import TEXTS, say, sentence
from tests.listening.corpus import Corpus, Stage

SECONDS = 0.1
QUIET: dict[str, Any] = {"gold_rate": 0.0, "trap_rate": 0.0, "anchor_rate": 0.0, "needs_check": False}


def open_test(folder: Path, pairs: int, overlap: int) -> ListeningTest:
    corpus = Corpus(pairs, seconds=SECONDS)
    return ListeningTest(
        corpus, EventLog(folder), make_plan(corpus, "simulated", corpus.pair_ids(), overlap=overlap, **QUIET)
    )


def serve(test: ListeningTest, translator: Translator) -> tuple[gr.Blocks, str]:
    app = build_app(translator, listening=Listening(test))
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, **launch_options())
    return app, url


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, translator: Translator
) -> Iterator[tuple[ListeningTest, Client, Path]]:
    folder = tmp_path_factory.mktemp("ratings")
    test = open_test(folder, pairs=40, overlap=2)
    app, url = serve(test, translator)
    yield test, Client(url, verbose=False), folder
    app.close(verbose=False)


def join(client: Client, name: str = "simulated") -> str:
    return str(client.predict(name, "both", True, api_name="/join")["code"])


def rate(client: Client, code: str, item: dict[str, Any], event: str = "") -> dict[str, Any]:
    """Wait as long as the clips are, then answer."""
    time.sleep(sum(item["seconds"].values()))
    played = {clip: [[0, seconds]] for clip, seconds in item["seconds"].items()}
    answer = {"scores": dict.fromkeys(item["questions"], 4), "comment": "<script>alert(1)</script>"}
    result: dict[str, Any] = client.predict(code, item["id"], answer, played, event, api_name="/rate")
    return result


def test_a_program_can_rate_undo_skip_and_see_the_summary(running: tuple[ListeningTest, Client, Path]) -> None:
    _, client, folder = running
    code = join(client)
    first = client.predict(code, api_name="/next_item")["item"]
    assert first["questions"] == ["adequacy", "naturalness"]
    sound = client.predict(code, first["id"], "target", api_name="/clip")
    assert soundfile.info(sound).duration == pytest.approx(SECONDS)
    receipt = rate(client, code, first, "simulated-event-1")
    assert rate(client, code, first, "simulated-event-1") == receipt
    assert client.predict(code, "", api_name="/undo")["item"]["id"] == first["id"]
    assert client.predict(code, first["id"], api_name="/skip")["progress"]["skipped"] == 1
    second = client.predict(code, api_name="/next_item")["item"]
    assert second["id"] != first["id"]
    rate(client, code, second)
    found = client.predict(api_name="/ratings_summary")
    assert found["n_ratings"] == 1
    assert found["standings"] == {"unknown": 1}
    kinds = Counter(event.kind for event in read_events(folder)[0])
    assert (kinds["submit"], kinds["undo"], kinds["skip"]) == (2, 1, 1)


@pytest.mark.parametrize(
    ("played", "wait", "words"),
    [({}, 1.0, "whole clip"), ({"source": [[0, 9]]}, 1.0, "within"), (None, 0.0, "faster")],
)
def test_programs_cannot_rate_what_they_have_not_heard(
    running: tuple[ListeningTest, Client, Path], played: dict[str, Any] | None, wait: float, words: str
) -> None:
    test, client, _ = running
    slow = Corpus(1, seconds=30.0) if wait == 0.0 else test.items
    original, test.items = test.items, slow
    try:
        code = join(client)
        item = client.predict(code, api_name="/next_item")["item"]
    finally:
        test.items = original
    time.sleep(wait * 0.3)
    given = {clip: [[0, s]] for clip, s in item["seconds"].items()} if played is None else played
    answer = {"scores": dict.fromkeys(item["questions"], 4)}
    with pytest.raises(AppError, match=words):
        client.predict(code, item["id"], answer, given, "", api_name="/rate")


@pytest.mark.parametrize(
    "answer", [{}, {"scores": []}, {"scores": {"adequacy": "5"}}, {"flags": [["x"]]}, {"choice": 1}]
)
def test_an_answer_of_another_shape_gets_a_sentence(
    running: tuple[ListeningTest, Client, Path], answer: dict[str, Any]
) -> None:
    _, client, _ = running
    code = join(client)
    item = client.predict(code, api_name="/next_item")["item"]
    with pytest.raises(AppError) as caught:
        client.predict(code, item["id"], answer, {}, "", api_name="/rate")
    assert "Traceback" not in str(caught.value) and "went wrong on our side" not in str(caught.value)


def test_strangers_get_a_sentence(running: tuple[ListeningTest, Client, Path]) -> None:
    _, client, _ = running
    with pytest.raises(AppError, match="resume code"):
        client.predict("abcd-efgh-jkmn-pqrs", api_name="/next_item")
    with pytest.raises(AppError, match="agree"):
        client.predict("simulated", "both", False, api_name="/join")


def test_many_raters_at_once_lose_nothing_and_keep_the_limits(tmp_path: Path, translator: Translator) -> None:
    """Eight simulated raters, thirty pairs that want two ratings each (`benchmarks/listening.py` has 50 × 40)."""
    test = open_test(tmp_path / "ratings", pairs=30, overlap=2)
    app, url = serve(test, translator)
    acknowledged: list[str] = []

    def work(number: int) -> None:
        client = Client(url, verbose=False)
        code = join(client, f"simulated {number}")
        while (item := client.predict(code, api_name="/next_item")["item"]) is not None:
            acknowledged.append(rate(client, code, item)["event"])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    app.close(verbose=False)
    stored = [event.id for event in read_events(tmp_path / "ratings")[0] if event.kind == "submit"]
    assert sorted(acknowledged) == sorted(stored)
    per_pair = Counter(rating.item.targets[0].pair_id for rating in test.ratings())
    assert set(per_pair.values()) == {2} and len(per_pair) == 30


# -- words and pictures ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("language", ["en", "ja"])
def test_results_show_tables_and_plots_and_escape_all_words(tmp_path: Path, language: Any) -> None:
    class Hostile(Corpus):
        def condition(self, pair_id: str) -> str:
            return f"<script>{super().condition(pair_id)}</script>"

    stage = Stage(tmp_path, corpus=Hostile(6)).open(overlap=4, comparisons=[("p0", "p1"), ("p2", "p3")])
    for i in range(4):
        rater = stage.rater(f"simulated {i}")
        while (shown := stage.test.next(rater)) is not None:
            stage.rate(rater, shown, 1 + int(stage.item_of(shown).targets[0].pair_id[1:]) % 4 + (i == 3))
    text = report(summarise(stage.test), language)
    assert "<script>" not in text and "&lt;script&gt;" in text
    assert text.count("<table>") == 4
    assert "<svg" in text and "<circle" in text
    assert "__i18n__" not in text


def test_results_can_be_downloaded(tmp_path: Path) -> None:
    stage = Stage(tmp_path).open()
    stage.rate(stage.rater())
    handler = results(stage.test)
    text, update = handler(None)  # type: ignore[arg-type]
    assert "1" in text
    assert [Path(file).name for file in update["value"]] == ["ratings.csv", "ratings.jsonl", "summary.json"]
    assert all(Path(file).stat().st_size for file in update["value"])


def test_the_results_show_defects_anchors_and_raters_but_no_known_items(tmp_path: Path) -> None:
    corpus = Corpus(8)
    golds = {"p6": {"adequacy": 5, "naturalness": 5}}
    stage = Stage(tmp_path / "ratings", corpus=corpus).open(
        pair_ids=["p0", "p1"], golds=golds, gold_rate=0.5, anchors=["p2", "p3"], anchor_rate=0.5
    )
    for i in range(3):
        rater = stage.rater(f"simulated {i}")
        while (shown_item := stage.test.next(rater)) is not None:
            score = 4 + int(stage.item_of(shown_item).targets[0].pair_id[1:]) % 2  # all agree, so all count
            stage.rate(rater, shown_item, score, flags=("cut",))
    found = summarise(stage.test)
    shown = report(found, "en")
    assert "Cut off" in shown and "round-1" in shown and all(rater.id in shown for rater in stage.test.raters())
    assert "gold" not in shown
    assert "gold" in {rating.item.kind for rating in stage.test.ratings()}
    files = {Path(file).name: Path(file).read_text() for file in write_files(tmp_path, stage.test, found)}
    assert "p6" not in files["ratings.csv"] and "measures" not in files["summary.json"]
    assert "切れる" in report(found, "ja")


def test_nothing_rated_is_said(tmp_path: Path) -> None:
    assert say("listening_nothing_rated", "en") in report(summarise(Stage(tmp_path).open().test), "en")


def test_the_tone_is_in_one_ear() -> None:
    assert not tone("left")[:, 1].any() and tone("left")[:, 0].any()
    assert not tone("right")[:, 0].any() and tone("right")[:, 1].any()


def test_the_age_and_the_failure_of_the_backup_are_said() -> None:
    assert backup_lines(BackupStatus("x", None, None), "en") == ["No backup yet."]
    assert backup_lines(BackupStatus("x", 600.0, "Timeout"), "en") == [
        "Last backup 10 min ago.",
        "The last backup failed: Timeout",
    ]


# In sentences for those who run the test, on the command line.
OPERATORS = ("plan {", "rates", "Optional", "events", "must end", "Cannot", "cannot be read", "cannot be fetched")


def test_every_sentence_of_the_listening_test_is_said_in_japanese() -> None:
    folder = Path(__file__).resolve().parents[2] / "stsmt" / "listening"
    raised = re.compile(r'UserError\(\s*f?"([^"]+)"')
    sentences = [found for path in folder.glob("*.py") for found in raised.findall(path.read_text(encoding="utf-8"))]
    for text in sentences:
        if any(words in text for words in OPERATORS):
            continue  # for operators, on the command line
        example = re.sub(r"{[^}]*:\.0f}", "5", re.sub(r"{(MAX\w*|len[^}]*)}", "9", text))
        example = re.sub(r"{[^}]+}", "x", example)
        assert sentence(example, "ja") != example, text


def test_the_page_has_a_tab_only_with_a_test(tmp_path: Path, translator: Translator) -> None:
    labels = [block.label for block in build_app(translator).blocks.values() if isinstance(block, gr.Tab)]
    test = open_test(tmp_path, 2, 1)
    more = [b.label for b in build_app(translator, listening=Listening(test)).blocks.values() if isinstance(b, gr.Tab)]
    assert len(more) == len(labels) + 1
    assert "listening_tab" in TEXTS


def test_a_program_gets_through_a_plan_that_nobody_has_changed(tmp_path: Path, translator: Translator) -> None:
    corpus = Corpus(6, seconds=SECONDS)
    test = ListeningTest(corpus, EventLog(tmp_path), starting_plan(corpus, corpus.pair_ids()))
    app, url = serve(test, translator)
    try:
        client = Client(url, verbose=False)
        code = join(client)
        with pytest.raises(AppError, match="headphone check"):
            client.predict(code, api_name="/next_item")
        with pytest.raises(AppError, match="headphones or a loudspeaker"):
            client.predict(code, "a can on a string", True, api_name="/check")
        assert client.predict(code, "headphones", True, api_name="/check") == {"ready": True}
        given = client.predict(code, api_name="/next_item")
        assert set(given["standing"]) == {"state", "reasons"}
        assert rate(client, code, given["item"])["event"]
    finally:
        app.close(verbose=False)
