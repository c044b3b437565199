"""Where the corpus and the listening test meet: pairs as items to rate, ratings as part of a pair's page."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stsmt.codec import Codec
from stsmt.corpus.search import Corpus
from stsmt.errors import UserError
from stsmt.listening.items import PairItems, speaker_of
from stsmt.listening.plan import Plan, planted_golds, starting_plan
from stsmt.listening.planted import read_planted
from stsmt.listening.protocol import ListeningTest
from stsmt.listening.summary import PairRatings
from stsmt.settings import CORPUS, Settings
from stsmt.ui.listening import Listening, open_listening
from stsmt.ui.sounds import Sounds, decoder

log = logging.getLogger(__name__)
DRAWN = 150  # pairs to choose the first round from


def corpus_items(corpus: Corpus, codec: Codec) -> PairItems:
    """The pairs of a corpus as items; they are compared by who speaks the target."""
    return PairItems(lambda: corpus.sample([], DRAWN, seed=0), corpus.pair, Sounds(decoder(codec)).of, speaker_of)


def listening_of(
    corpus: Corpus, codec: Codec, folder: str, *, bundled: Path, repository: str = "", login: bool = False
) -> Listening:
    """The listening test of a corpus. Its first round has golds where the corpus is the `bundled` one.

    Raises:
        UserError: if the folder of ratings cannot be used.
    """
    items = corpus_items(corpus, codec)

    def plan() -> Plan:
        golds = planted_golds(read_planted(bundled))
        try:
            return starting_plan(items, list(items.pair_ids()), golds)
        except UserError:  # these golds are of another corpus
            return starting_plan(items, list(items.pair_ids()))

    return open_listening(items, folder, plan, repository=repository, login=login)


def rated_corpus(corpus: Corpus, codec: Codec, settings: Settings) -> dict[str, Any]:
    """What `build_app` takes beside a corpus, so that its pairs can be rated.

    Where the folder of ratings cannot be used, the app does without and says why in the test's place.
    """
    repository, login = settings.ratings_repository, settings.login
    try:
        listening = listening_of(corpus, codec, settings.ratings, bundled=CORPUS, repository=repository, login=login)
    except UserError as error:
        log.warning("Nobody can rate: %s", error)
        return {"no_listening": str(error)}
    return {"listening": listening, "on_send": listening.test.add, "ratings_of": ratings_of(listening.test)}


def ratings_of(test: ListeningTest) -> Callable[[str], PairRatings]:
    """What the page of a pair shows of its ratings."""

    def found(pair_id: str) -> PairRatings:
        try:
            return test.of_pair(pair_id)
        except UserError as error:  # the folder of ratings has gone: the pair itself can still be looked at
            log.warning("Ratings cannot be read: %s", error)
            return PairRatings({}, {}, {})

    return found
