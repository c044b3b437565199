"""The page's `Blocks`: what a running answer changes is sent so that a slow visitor misses none of it."""

from typing import Any

import gradio as gr
from gradio.block_function import BlockFunction


class Page(gr.Blocks):
    """`gr.Blocks` whose updates are sent whole.

    Gradio sends how an output differs from its last update, and its client edits that one, which may still wait to be
    shown (`apply_diff` in gradio's client/js/src/utils/stream.ts): where a page is slower than the answer - a phone, or
    an answer from memory - the sound of a player was taken away before anybody had heard it.
    """

    def handle_streaming_diffs(
        self,
        block_fn: BlockFunction,
        data: list[Any],
        session_hash: str | None,
        run: str | None,
        final: bool,
        simple_format: bool = False,
    ) -> list[Any]:
        """Edits by output: none where it is as before, else its new value in place of the old."""
        runs = self.pending_diff_streams.get(session_hash, {})
        before = None if final or simple_format or run not in runs else [*runs[run]]
        whole = super().handle_streaming_diffs(block_fn, data, session_hash, run, final, simple_format=True)
        if before is None:
            return whole
        return [[] if new == old else [["replace", [], new]] for old, new in zip(before, whole, strict=True)]
