"""The endpoints /sts, /tts, /stt and /compare for programs (`gradio_client`, MCP): plain values in, plain values out.

The page itself uses other, private handlers, which stream into its components.
"""

from collections.abc import Iterator
from typing import Any

import gradio as gr

from stsmt.audio import Audio
from stsmt.requests import AudioPart, Result, TextPart
from stsmt.ui import forms
from stsmt.ui.compare import WAYS, outcomes
from stsmt.ui.forms import AUTOMATIC, shown_errors
from stsmt.ui.streaming import Memory, pcm
from stsmt.ui.strings import visitor_language

Sound = tuple[int, Any] | None  # rate and int16 samples, which Gradio turns into a WAV file


class Endpoints:
    """The functions behind the endpoints; their docstrings are what clients and agents read."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory

    def sts(
        self, audio: str, to: str, mode: str, voice: str, seed: float, visitor: gr.Request
    ) -> Iterator[tuple[str, str, Sound, dict[str, Any] | None]]:
        """Translate speech into speech between Japanese and English.

        Args:
            audio: A recording of up to 60 seconds (WAV, FLAC, OGG or MP3).
            to: The language to translate to: "ja", "en", or "auto" for the one that is not spoken.
            mode: "chain" (transcript and translation, then speech) or "direct" (speech only); "auto" for the default.
            voice: The name of a voice of the target language, or "auto".
            seed: A whole number from 0; the same input and seed give the same result.

        Returns:
            The transcript, the translation, the speech as a WAV file, and details (health, timing, model).
        """
        transcript = translation = ""
        with shown_errors(visitor_language(visitor), page=False):
            for part in self._memory.stream(forms.sts_request(audio, to, mode, voice, seed)):
                if isinstance(part, TextPart):
                    transcript = part.text_so_far if part.field == "transcript" else transcript
                    translation = part.text_so_far if part.field == "translation" else translation
                    yield transcript, translation, None, None
                elif isinstance(part, Result):
                    yield part.transcript or "", part.translation or "", _sound(part.audio), part.to_json(None)

    def tts(
        self, text: str, language: str, voice: str, seed: float, visitor: gr.Request
    ) -> tuple[Sound, dict[str, Any]]:
        """Speak a Japanese or English sentence.

        Args:
            text: The sentence.
            language: "ja", "en", or "auto" to tell it from the script.
            voice: The name of a voice of that language, or "auto".
            seed: A whole number from 0; the same input and seed give the same result.

        Returns:
            The speech as a WAV file, and details (health, timing, model).
        """
        with shown_errors(visitor_language(visitor), page=False):
            result = self._memory.run(forms.tts_request(text, language, voice, seed))
        return _sound(result.audio), result.to_json(None)

    def stt(self, audio: str, language: str, visitor: gr.Request) -> Iterator[tuple[str, dict[str, Any] | None]]:
        """Write down what is said in a Japanese or English recording.

        Args:
            audio: A recording of up to 60 seconds (WAV, FLAC, OGG or MP3).
            language: "ja", "en", or "auto" to identify it.

        Returns:
            The transcript, and details (language, health, timing, model).
        """
        with shown_errors(visitor_language(visitor), page=False):
            for part in self._memory.stream(forms.stt_request(audio, language)):
                if isinstance(part, TextPart):
                    yield part.text_so_far, None
                elif not isinstance(part, AudioPart):
                    yield part.text or "", part.to_json(None)

    def compare(
        self, audio: str, to: str, voice: str, seed: float, visitor: gr.Request
    ) -> tuple[Sound, Sound, Sound, list[dict[str, Any]]]:
        """Translate one clip in three ways: direct, chain, and cascade (recognise, translate the text, speak).

        Args:
            audio: A recording of up to 60 seconds (WAV, FLAC, OGG or MP3).
            to: The language to translate to: "ja", "en", or "auto" for the one that is not spoken.
            voice: The name of a voice of the target language, or "auto".
            seed: A whole number from 0; the same input and seed give the same result.

        Returns:
            The speech of direct, chain and cascade as WAV files, and for each its texts and the seconds it took.
        """
        with shown_errors(visitor_language(visitor), page=False):
            found = list(outcomes(self._memory, forms.sts_request(audio, to, None, voice, seed)))
        direct, chain, cascade = (_sound(outcome.audio) for outcome in found)
        return direct, chain, cascade, [outcome.to_json() for outcome in found]


def _sound(audio: Audio | None) -> Sound:
    return None if audio is None or not len(audio.samples) else pcm(audio)


def endpoints(memory: Memory, options: dict[str, Any]) -> None:
    """Register the endpoints on components that the page does not show; their values are the parameters' defaults."""
    served = Endpoints(memory)
    with gr.Column(visible=False):
        clip, text, button = gr.Audio(type="filepath", label="audio"), gr.Textbox(label="text"), gr.Button()
        to, language, mode, voice = (gr.Textbox(AUTOMATIC, label=key) for key in ("to", "language", "mode", "voice"))
        seed = gr.Number(0, label="seed")
        words = [gr.Textbox(label=key) for key in ("transcript", "translation")]
        speech, *sounds = [gr.Audio(label=key) for key in ("speech", *WAYS)]
        details = gr.JSON(label="details")
    shared = {"show_progress": "hidden", **options}
    button.click(served.sts, [clip, to, mode, voice, seed], [*words, speech, details], api_name="sts", **shared)
    button.click(served.tts, [text, language, voice, seed], [speech, details], api_name="tts", **shared)
    button.click(served.stt, [clip, language], [words[0], details], api_name="stt", **shared)
    button.click(served.compare, [clip, to, voice, seed], [*sounds, details], api_name="compare", **shared)
