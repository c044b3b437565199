"""The listening test for programs: /join, /check, /next_item, /clip, /rate, /skip, /undo and /ratings_summary.

They go through the same checks as the page: what was not heard long enough cannot be rated.
"""

from typing import Any

import gradio as gr

from stsmt.listening.protocol import ListeningTest, Shown
from stsmt.listening.state import Answer
from stsmt.ui.forms import shown_errors
from stsmt.ui.listening_results import summarise
from stsmt.ui.streaming import pcm
from stsmt.ui.strings import visitor_language

OPTIONS: dict[str, Any] = {"show_progress": "hidden", "queue": False}  # raters do not wait behind translations


class ListeningEndpoints:
    """The functions behind the endpoints; their docstrings are what clients and agents read."""

    def __init__(self, test: ListeningTest) -> None:
        self._test = test

    def join(self, name: str, competence: str, consent: bool, visitor: gr.Request) -> dict[str, Any]:
        """Become a rater of the listening test. Programs must call themselves simulated in their name.

        Args:
            name: Any name.
            competence: The languages that the rater understands: "ja", "en" or "both".
            consent: Whether the rater agrees that answers are stored and published without the name.

        Returns:
            The secret code that all other calls need; it is shown only now.
        """
        with shown_errors(visitor_language(visitor), page=False):
            return {"code": self._test.join(name, competence, consent)[1]}

    def check(self, code: str, device: str, passed: bool, visitor: gr.Request) -> dict[str, Any]:
        """Say how the sound is heard; needed once before the first item. It is stored and stands in the summary.

        Args:
            code: The rater's code.
            device: "headphones" or "loudspeaker".
            passed: Whether the rater can tell in which ear a tone is.

        Returns:
            Whether the rater may go on.
        """
        with shown_errors(visitor_language(visitor), page=False):
            rater = self._test.resume(code).id
            self._test.record_check(rater, passed, device)
            return {"ready": self._test.is_ready(rater)}

    def next_item(self, code: str, visitor: gr.Request) -> dict[str, Any]:
        """The item to rate next: the one that is open, or a new one.

        Args:
            code: The rater's code.

        Returns:
            The item (its id, the questions, the clips with their seconds), or null when nothing is left; progress; and
            whether the ratings count.
        """
        with shown_errors(visitor_language(visitor), page=False):
            rater = self._test.resume(code).id
            return {"item": _json(self._test.next(rater)), **self._about(rater)}

    def clip(self, code: str, item: str, clip: str, visitor: gr.Request) -> Any:
        """The sound of a clip of an item that was served.

        Args:
            code: The rater's code.
            item: The item's id.
            clip: "source", "target", "a" or "b".

        Returns:
            The sound as a WAV file.
        """
        with shown_errors(visitor_language(visitor), page=False):
            return pcm(self._test.sound(self._test.resume(code).id, item, clip))

    def rate(
        self, code: str, item: str, answer: dict[str, Any], played: dict[str, Any], event: str, visitor: gr.Request
    ) -> dict[str, Any]:
        """Answer the questions of an item. It is saved when this returns.

        Args:
            code: The rater's code.
            item: The item's id.
            answer: {"scores": {question: 1..5}} or {"choice": "a" | "b" | "tie" | "both_bad"}, and optionally "flags"
                (loop, cut, wrong_language, noise, wrong_meaning, offensive), "comment", and "edit": true to change an
                answer that was given.
            played: The ranges of each clip that were played, in seconds: {clip: [[start, stop], …]}.
            event: An id of your own (8 to 64 letters or digits), so that sending it again changes nothing; or "".

        Returns:
            The event's id, and for training items the scores that were expected.
        """
        with shown_errors(visitor_language(visitor), page=False):
            rater, given = self._test.resume(code).id, read_answer(answer)
            if isinstance(answer, dict) and answer.get("edit") is True:
                receipt = self._test.edit(rater, item, given)
            else:
                receipt = self._test.submit(rater, item, given, played, event or None)
            return {"event": receipt.event, "feedback": receipt.feedback}

    def skip(self, code: str, item: str, visitor: gr.Request) -> dict[str, Any]:
        """Leave an item; it is not offered again.

        Args:
            code: The rater's code.
            item: The item's id.

        Returns:
            Progress, and whether the ratings count.
        """
        with shown_errors(visitor_language(visitor), page=False):
            rater = self._test.resume(code).id
            self._test.skip(rater, item)
            return self._about(rater)

    def undo(self, code: str, event: str, visitor: gr.Request) -> dict[str, Any]:
        """Take the last answer or skip back; the item is open again.

        Args:
            code: The rater's code.
            event: An id of your own, so that sending it again takes nothing more back; or "".

        Returns:
            The item.
        """
        with shown_errors(visitor_language(visitor), page=False):
            return {"item": _json(self._test.undo(self._test.resume(code).id, event or None))}

    def ratings_summary(self, visitor: gr.Request) -> dict[str, Any]:
        """Means by condition with intervals, comparisons, agreement, anchors, flags, and which raters count.

        Returns:
            The summary, as `stsmt ratings summary --json` prints it, but for the raters' measures on known items.
        """
        with shown_errors(visitor_language(visitor), page=False):
            return summarise(self._test)

    def _about(self, rater: str) -> dict[str, Any]:
        return {"progress": vars(self._test.progress(rater)), "standing": self._test.standing(rater).to_rater()}


def _json(shown: Shown | None) -> dict[str, Any] | None:
    return None if shown is None else shown.to_json()


def read_answer(value: Any) -> Answer:
    """An answer from JSON; whether it fits the questions is checked by the test."""
    fields = value if isinstance(value, dict) else {}
    scores, flags, choice = fields.get("scores") or {}, fields.get("flags") or [], fields.get("choice")
    comment = fields.get("comment") or ""
    well_formed = isinstance(scores, dict) and isinstance(flags, list) and isinstance(comment, str)
    if not well_formed or not isinstance(choice, str | None) or not all(isinstance(flag, str) for flag in flags):
        return Answer()  # refused as incomplete
    return Answer(dict(scores), choice, tuple(flags), comment)


def listening_endpoints(test: ListeningTest) -> None:
    """Register the endpoints on components that the page does not show."""
    served = ListeningEndpoints(test)
    with gr.Column(visible=False):
        code, item, event, clip, name, competence = (
            gr.Textbox(label=key) for key in ("code", "item", "event", "clip", "name", "competence")
        )
        consent, button, sound = gr.Checkbox(label="consent"), gr.Button(), gr.Audio(label="sound")
        device, passed = gr.Textbox(label="device"), gr.Checkbox(True, label="passed")
        answer, played, found = gr.JSON({}, label="answer"), gr.JSON({}, label="played"), gr.JSON(label="result")
    calls: tuple[tuple[Any, list[Any], Any], ...] = (
        (served.join, [name, competence, consent], found),
        (served.check, [code, device, passed], found),
        (served.next_item, [code], found),
        (served.clip, [code, item, clip], sound),
        (served.rate, [code, item, answer, played, event], found),
        (served.skip, [code, item], found),
        (served.undo, [code, event], found),
        (served.ratings_summary, [], found),
    )
    for function, inputs, output in calls:
        button.click(function, inputs, output, api_name=function.__name__, **OPTIONS)
