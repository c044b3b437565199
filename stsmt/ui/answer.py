"""The panel in which an answer appears: text as it is written, sound as it is made, then how sound it all is."""

import html
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

import gradio as gr
import numpy as np
from gradio.components import Component

from stsmt.audio import Audio, concatenate
from stsmt.example import Language
from stsmt.health import Health
from stsmt.requests import AudioPart, Result, TextPart
from stsmt.ui import plots
from stsmt.ui.streaming import Part, pcm
from stsmt.ui.strings import label, say, sentence

CHUNK_SECONDS = 0.4  # shorter pieces of sound are gathered: each costs a message and an HLS segment
PAUSE_SECONDS = 0.5  # between an attempt that looped and the next
REVISION_LENGTH = 20  # of a hash, that is plenty
HIDDEN: Literal["hidden"] = "hidden"  # but mounted: a player that is mounted on its first chunk may miss it
Updates = dict[Component, Any]


@dataclass(frozen=True)
class Panel:
    """The components of one tab's answer; what the tab does not have is None."""

    status: gr.HTML
    notice: gr.HTML
    health: gr.HTML
    transcript: gr.Textbox | None = None
    translation: gr.Textbox | None = None
    live: gr.Audio | None = None
    final: gr.Audio | None = None
    figures: gr.HTML | None = None

    @property
    def outputs(self) -> list[Component]:
        return [part for part in vars(self).values() if part is not None]

    def cleared(self, status: str) -> Updates:
        """Nothing shown but a status; players hidden until there is something to hear."""
        texts: Updates = {box: "" for box in (self.transcript, self.translation, self.figures) if box is not None}
        players: Updates = {
            player: gr.update(value=None, visible=HIDDEN) for player in (self.live, self.final) if player is not None
        }
        return {**texts, **players, self.notice: "", self.health: "", self.status: status}


def panel(status: gr.HTML, texts: tuple[str, ...], speech: bool, streams: bool) -> Panel:
    """Lay a panel out: `texts` are keys of text boxes; `speech` adds the players and the spectrograms."""
    notice = gr.HTML("", elem_classes="quiet")
    boxes = {key: _text_box(key) for key in texts}
    live = final = figures = None
    if speech and streams:
        live = gr.Audio(
            label=label("live"),
            streaming=True,
            autoplay=True,
            interactive=False,
            visible=HIDDEN,
            buttons=[],
            elem_classes="live",
        )
    if speech:
        final = _finished_player("final", autoplay=not streams)
        if not streams:
            gr.Markdown(label("no_stream"))
    health = gr.HTML("", elem_classes="quiet")
    if speech:
        figures = gr.HTML("", elem_classes="quiet")
    return Panel(status, notice, health, boxes.get("transcript"), boxes.get("translation"), live, final, figures)


def _text_box(key: str) -> gr.Textbox:
    return gr.Textbox(label=label(key), interactive=False, lines=2, buttons=["copy"], elem_classes=key)


def _finished_player(key: str, autoplay: bool) -> gr.Audio:
    return gr.Audio(label=label(key), interactive=False, visible=HIDDEN, buttons=["download"], autoplay=autoplay)


def show(
    parts: Iterable[Part], into: Panel, source: Audio | None, language: Language, remembered: bool
) -> Iterator[Updates]:
    """Turn a stream of parts into updates of a panel."""
    waiting: list[Audio] = []
    started, attempt = False, 0
    for part in parts:
        if isinstance(part, TextPart):
            yield _text(part, into, language)
        elif isinstance(part, AudioPart):
            if part.attempt > attempt:  # what was played cannot be taken back: say so, pause, start again
                yield {into.status: stage("stage_again", language)}
                waiting, attempt = [_pause(part.audio.sample_rate)], part.attempt
            waiting.append(part.audio)
            if into.live is not None and sum(audio.seconds for audio in waiting) >= CHUNK_SECONDS:
                yield from _sound(waiting, into.live, into.status, language, started)
                waiting, started = [], True
        else:
            if into.live is not None and not started and not waiting and part.audio is not None:
                waiting = [part.audio]  # an answer that was remembered without its pieces
            if into.live is not None and waiting:
                yield from _sound(waiting, into.live, into.status, language, started)
            yield _finished(part, into, source, language, remembered)


def _pause(sample_rate: int) -> Audio:
    return Audio(np.zeros(round(PAUSE_SECONDS * sample_rate), np.float32), sample_rate)


def _text(part: TextPart, into: Panel, language: Language) -> Updates:
    box = into.transcript if part.field == "transcript" else into.translation
    update: Updates = {} if box is None else {box: part.text_so_far}
    return {**update, into.status: stage(f"stage_{part.field}", language)}


def _sound(
    waiting: list[Audio], live: gr.Audio, status: gr.HTML, language: Language, started: bool
) -> Iterator[Updates]:
    if not started:
        yield {live: gr.update(visible=True), status: stage("stage_speech", language)}
    yield {live: pcm(concatenate(waiting, waiting[0].sample_rate))}


def _finished(result: Result, into: Panel, source: Audio | None, language: Language, remembered: bool) -> Updates:
    updates: Updates = {
        into.status: stage("stage_done", language),
        into.health: health_line(result, language, remembered),
        into.notice: notices(result, language),
    }
    if into.transcript is not None:
        updates[into.transcript] = result.transcript or ""
    if into.translation is not None:
        updates[into.translation] = result.translation or ""
    if into.final is not None and result.audio is not None and len(result.audio.samples):
        updates[into.final] = gr.update(value=pcm(result.audio), visible=True)
    if into.figures is not None:
        sounds = (("figure_source", source), ("figure_target", result.audio))
        updates[into.figures] = plots.figures([_figure(key, a, language) for key, a in sounds if a is not None])
    return updates


def _figure(key: str, audio: Audio, language: Language) -> str:
    return plots.figure(audio, say(key, language), say("figure_alt", language, seconds=f"{audio.seconds:.1f}"))


# -- sentences about a result ----------------------------------------------------------------------------------------


def stage(key: str, language: Language, **values: str) -> str:
    """What is being done just now."""
    return f'<p class="stage" role="status">{html.escape(say(key, language, **values))}</p>'


def health_line(result: Result, language: Language, remembered: bool = False) -> str:
    """How the generation went, in short facts."""
    health, timing = result.health, result.timing
    facts = [_end(health, language), _loops(health, language), say("retries", language, count=health.retries)]
    if result.audio is not None:
        facts.append(say("speech_seconds", language, seconds=f"{health.seconds:.1f}"))
    facts.append(say("total_seconds", language, seconds=f"{timing.total:.1f}"))
    if timing.first_audio is not None and result.audio is not None:
        facts.append(say("first_audio", language, seconds=f"{timing.first_audio:.1f}"))
    if timing.real_time_factor is not None:
        facts.append(say("real_time_factor", language, factor=f"{timing.real_time_factor:.2f}"))
    facts.append(say("model", language, name=result.model.name, revision=result.model.revision[:REVISION_LENGTH]))
    if remembered:
        facts.append(say("from_memory", language))
    items = "".join(f"<li>{html.escape(fact)}</li>" for fact in facts)
    return f'<ul class="health">{items}</ul>'


def _end(health: Health, language: Language) -> str:
    if health.end_reached:
        return say("end_reached", language)
    return say("cut_off" if health.cap_hit else "no_end", language)


def _loops(health: Health, language: Language) -> str:
    if not health.loop:
        return say("no_loops", language)
    return say("loops", language, share=f"{100 * health.repeat_share:.0f}")


def notices(result: Result, language: Language) -> str:
    """Doubts first, then other remarks; nothing where there are none."""
    doubts = [say(f"unsure_{reason}", language) for reason in result.unsure]
    remarks = [sentence(text, language) for text in result.warnings]
    found = ""
    if doubts:
        found += _notice(say("unsure_title", language), [*doubts, say("unsure_hint", language)], "unsure")
    if remarks:
        found += _notice(say("note_title", language), remarks, "remark")
    return found


def _notice(title: str, sentences: list[str], kind: str) -> str:
    lines = "".join(f"<p>{html.escape(text)}</p>" for text in sentences)
    return f'<div class="notice {kind}" role="alert"><strong>{html.escape(title)}</strong>{lines}</div>'
