"""A second opinion on English speech: `python -m training.opinion --n 200`.

The judge of `training.evaluate` is a recogniser of our own that learnt the same voices: it might mind in a codec's
sound what nobody else hears, or not hear what others mind. PocketSphinx (https://github.com/cmusphinx/pocketsphinx)
with its own model of American English knows neither voices nor phrasebook (the judge has its trigrams from there). It
mishears far more than the judge does, of originals, too; what counts are the differences between the same sentences as
they were, through the codec and back, and as the model speaks them. They are the unseen sentences that
`training.evaluate` begins with, `--without` the same phrases.
"""

import argparse
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from stsmt import metrics
from stsmt.audio import Audio, resample
from stsmt.errors import UserError, stated_errors
from stsmt.example import Language, Task
from stsmt.metrics import Estimate
from stsmt.requests import Request
from stsmt.translator import Translator
from training.evaluate import SETS, plan
from training.measure import Item, Judge, Speak

ENGLISH: Language = "en"  # the only one of our languages that PocketSphinx brings a model for
ORIGINAL, RESYNTHESIS, SPOKEN = "original", "through the codec and back", "spoken by the model"
RATE, PEAK = 16_000, 32_767  # what PocketSphinx hears: int16 at 16 kHz
Heard = dict[str, dict[str, list[str]]]  # listener → kind of sound → a text for each sentence


class PocketSphinx:
    """A recogniser of others; only the trigrams by which it spells are the judge's, too (`training.beam`).

    Raises:
        UserError: if it is not installed.
    """

    def __init__(self) -> None:
        try:
            from pocketsphinx import Decoder
        except ImportError as error:
            raise UserError("PocketSphinx is missing; install it with: pip install pocketsphinx") from error
        # Batch: how a sentence is heard does not depend on those before it.
        self._decoder = Decoder(samprate=RATE, cmn="batch", loglevel="FATAL")

    def transcribe(self, audios: Sequence[Audio], language: Language) -> list[str]:
        """Lower-case words of English sounds."""
        assert language == ENGLISH
        return [self._transcribe(resample(audio, RATE)) for audio in audios]

    def _transcribe(self, audio: Audio) -> str:
        pcm = (np.clip(audio.samples, -1.0, 1.0) * PEAK).astype(np.int16)
        self._decoder.start_utt()
        self._decoder.process_raw(pcm.tobytes(), full_utt=True)
        self._decoder.end_utt()
        found = self._decoder.hyp()
        return found.hypstr if found else ""


def sounds(translator: Translator, item: Item, speak: Speak) -> dict[str, Audio]:
    """The sentence of `item` in its voice: as it was, through the codec and back, and as the model speaks it."""
    original = speak(item.source_text, ENGLISH, item.voice)
    request = Request(Task.TTS, text=item.source_text, source_language=ENGLISH, voice=item.voice, seed=item.seed)
    spoken, codec = translator.run(request).audio, translator.codec
    nothing = Audio(np.zeros(0, np.float32), RATE)
    return {ORIGINAL: original, RESYNTHESIS: codec.decode(codec.encode(original)), SPOKEN: spoken or nothing}


def listen(translator: Translator, items: Sequence[Item], listeners: Mapping[str, Judge], speak: Speak) -> Heard:
    """What every listener understands of every kind of sound of every item."""
    heard: Heard = {name: {kind: [] for kind in (ORIGINAL, RESYNTHESIS, SPOKEN)} for name in listeners}
    for item in tqdm(items, desc="opinion", unit="sentence", file=sys.stderr):
        for kind, audio in sounds(translator, item, speak).items():
            for name, listener in listeners.items():
                text = listener.transcribe([audio], ENGLISH)[0] if len(audio.samples) else ""
                heard[name][kind].append(text)
    return heard


def table(references: Sequence[str], heard: Heard, seed: int) -> Iterator[str]:
    """Markdown: WER of every kind of sound, and how much more that is than of the original, with 95 % intervals."""
    yield f"| WER, n = {len(references)} | {' | '.join(heard)} |"
    yield f"|---|{'---|' * len(heard)}"
    for kind in (ORIGINAL, RESYNTHESIS, SPOKEN):
        rates = [metrics.error_rate(ENGLISH, references, texts[kind], seed) for texts in heard.values()]
        yield f"| {kind} | {' | '.join(f'{_figure(rate)} %' for rate in rates)} |"
    for kind in (RESYNTHESIS, SPOKEN):
        lost = [
            metrics.error_difference(ENGLISH, references, texts[kind], texts[ORIGINAL], seed=seed)
            for texts in heard.values()
        ]
        yield f"| … {kind}, minus the original | {' | '.join(map(_figure, lost))} |"


def _figure(found: Estimate) -> str:
    return f"{found.value:.1f} ({found.low:.1f} to {found.high:.1f})"


def draw(n: int, seed: int, without: Sequence[str] = ()) -> list[Item]:
    """The English sentences of the first `n` phrases that `training.evaluate` takes of its first set, but for those
    whose id is in `without`."""
    from training.phrasebook.grammar import phrases
    from training.voices import voice_names

    items = plan([(SETS["unseen_sentence"], n)], phrases(), voice_names, seed, without)
    return [item for item in items if item.language == ENGLISH]


def main(arguments: list[str] | None = None) -> None:
    from training.recogniser import Judge as OurJudge
    from training.recogniser import reading
    from training.voices import speak

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="assets/embedded", help="checkpoint folder, or owner/name@revision")
    parser.add_argument("--judge", type=Path, default=Path("assets/judge"), help="folder of the judge")
    parser.add_argument("--n", type=int, default=200, help="sentences")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--without", nargs="+", default=(), metavar="PHRASE", help="ids of phrases that training has met"
    )
    a = parser.parse_args(arguments)
    with stated_errors():
        if a.n < 1:
            raise UserError(f"--n must be at least 1, not {a.n}.")
        listeners: dict[str, Judge] = {"PocketSphinx": PocketSphinx(), "our judge": OurJudge.load(a.judge)}
        items = draw(a.n, a.seed, a.without)
        if not items:
            raise UserError("Nothing is left to hear: give a larger --n, or fewer phrases to do --without.")
        heard = listen(Translator.load(a.model), items, listeners, speak)
        print("\n".join(table([reading(item.source_text, ENGLISH) for item in items], heard, a.seed)))


if __name__ == "__main__":
    main()
