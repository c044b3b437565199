"""A recogniser of others hears the same sentences as they were, through the codec, and as the model speaks them."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from stsmt import metrics
from stsmt.audio import Audio, read_audio
from stsmt.errors import UserError
from stsmt.example import Language
from stsmt.translator import Translator
from training.evaluate import SETS
from training.measure import Item
from training.opinion import ORIGINAL, RESYNTHESIS, SPOKEN, PocketSphinx, draw, listen, main, table
from training.phrasebook.grammar import Phrase

ASSETS = Path(__file__).parents[2] / "assets"
EXAMPLES = [one for one in json.loads((ASSETS / "examples/examples.json").read_text()) if one["language"] == "en"]


def read_example(text: str, language: Language = "en", voice: str = "slt") -> Audio:
    return read_audio(ASSETS / "examples" / next(one["file"] for one in EXAMPLES if one["text"] == text))


def words(text: str) -> str:
    return "".join(mark for mark in text.lower() if mark.isalpha() or mark in " '")


def test_pocketsphinx_hears_english_whatever_it_heard_before() -> None:
    texts = [one["text"] for one in EXAMPLES]
    audios = [read_example(text) for text in texts]
    heard = PocketSphinx().transcribe([*audios, audios[0]], "en")
    assert heard[-1] == heard[0]
    assert metrics.error_rate("en", [words(text) for text in texts], heard[:-1]).value < 40


def test_sound_that_is_too_loud_is_clipped_and_not_wrapped() -> None:
    listener, audio = PocketSphinx(), read_example(EXAMPLES[0]["text"])
    loud = Audio((audio.samples / np.abs(audio.samples).max() * 2).astype(np.float32), audio.sample_rate)
    quiet, clipped = listener.transcribe([audio, loud], "en")
    assert clipped == quiet


class Counter:
    """Writes down how long what it hears is."""

    def transcribe(self, audios: Sequence[Audio], language: Language) -> list[str]:
        return [f"{audio.seconds:.1f}" for audio in audios]


def test_every_listener_hears_every_kind_of_sound() -> None:
    text = EXAMPLES[0]["text"]
    item = Item(SETS["unseen_sentence"], "en", Phrase("p-1", "p", "d", "はい。", text, "test"), "slt", 0)
    heard = listen(
        Translator.load(str(ASSETS / "embedded")), [item], {"one": Counter(), "two": Counter()}, read_example
    )
    assert heard["one"] == heard["two"] and list(heard["one"]) == [ORIGINAL, RESYNTHESIS, SPOKEN]
    seconds = [float(texts[0]) for texts in heard["one"].values()]
    assert seconds[0] == pytest.approx(read_example(text).seconds, abs=0.06)
    assert seconds[1] == pytest.approx(seconds[0], abs=0.1) and seconds[2] == pytest.approx(seconds[0], rel=0.3)


def test_the_table_says_how_much_more_is_misheard_than_of_the_original() -> None:
    references = ["one two three four"] * 10
    worse = ["one two three"] * 10
    heard = {"a": {ORIGINAL: references, RESYNTHESIS: worse, SPOKEN: references}}
    assert list(table(references, heard, 0)) == [
        "| WER, n = 10 | a |",
        "|---|---|",
        "| original | 0.0 (0.0 to 0.0) % |",
        "| through the codec and back | 25.0 (25.0 to 25.0) % |",
        "| spoken by the model | 0.0 (0.0 to 0.0) % |",
        "| … through the codec and back, minus the original | 25.0 (25.0 to 25.0) |",
        "| … spoken by the model, minus the original | 0.0 (0.0 to 0.0) |",
    ]


def test_it_takes_english_unseen_sentences_by_voices_that_the_model_speaks() -> None:
    items = draw(6, seed=0)
    assert {item.language for item in items} == {"en"} and len({item.phrase.id for item in items}) == 6
    assert {item.voice for item in items} == {"slt", "rms", "awb"} and {i.phrase.split for i in items} == {"test"}
    assert draw(6, seed=0, without=[items[2].phrase.id]) == [*items[:2], *items[3:]]


def test_wrong_input_gets_one_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, said in ((["--n", "0"], "--n must be at least 1"), (["--judge", "nowhere"], "No judge in nowhere")):
        with pytest.raises(SystemExit) as stop:
            main(arguments)
        assert stop.value.code == 2 and said in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pocketsphinx", None)
    with pytest.raises(UserError, match="pip install pocketsphinx"):
        PocketSphinx()
