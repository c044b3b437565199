"""The bundled corpus as a listening test."""

import html
from dataclasses import replace
from pathlib import Path

import pytest

from stsmt.corpus.search import Corpus, open_corpus
from stsmt.listening.planted import read_planted
from stsmt.listening.summary import PairRatings
from stsmt.settings import CORPUS, Settings
from stsmt.translator import Translator
from stsmt.ui import build_app
from stsmt.ui.corpus_listening import listening_of, rated_corpus
from tests.corpus.conftest import index
from tests.corpus.pairs import make_pairs

needs_corpus = pytest.mark.skipif(not CORPUS.is_file(), reason="the bundled corpus is not there")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    found = open_corpus(tmp_path_factory.mktemp("index") / "corpus.duckdb", CORPUS)
    assert found is not None
    return found


@needs_corpus
def test_the_bundled_corpus_starts_with_golds_practice_and_traps(
    corpus: Corpus, translator: Translator, tmp_path: Path
) -> None:
    test = listening_of(corpus, translator.codec, str(tmp_path / "ratings"), bundled=CORPUS).test
    kinds = {item.kind for item in test.plan.items}
    assert kinds == {"rating", "gold", "training", "trap"}
    assert len({c for item in test.plan.items if item.kind == "rating" for c in item.conditions}) > 1


@needs_corpus
def test_pairs_can_be_sent_to_the_test_and_show_their_ratings(
    corpus: Corpus, translator: Translator, tmp_path: Path
) -> None:
    rated = rated_corpus(corpus, translator.codec, Settings(ratings=str(tmp_path / "ratings")))
    pair_id = corpus.sample([], 400, seed=3)[-1]
    assert rated["on_send"]([pair_id, pair_id]) in (0, 1)
    assert rated["on_send"]([pair_id]) == 0
    assert rated["ratings_of"](pair_id) == PairRatings({}, {}, {})


def test_without_a_hidden_column_nothing_is_planted(tmp_path: Path) -> None:
    assert read_planted(tmp_path / "nothing.parquet") == []


def test_without_a_folder_for_ratings_the_app_says_so_and_works(tmp_path: Path, translator: Translator) -> None:
    (tmp_path / "taken").write_text("a file where the folder should be")
    index(tmp_path, make_pairs(3)).close()
    corpus = Corpus(tmp_path / "corpus.duckdb")
    given = rated_corpus(corpus, translator.codec, replace(Settings(), ratings=str(tmp_path / "taken")))
    assert set(given) == {"no_listening"}
    page = str(build_app(translator, corpus=corpus, **given).get_config_file())
    assert html.escape(given["no_listening"]) in page and "tab_corpus" in page
    corpus.close()
