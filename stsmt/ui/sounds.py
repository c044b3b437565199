"""The sound of a pair, decoded from its codes when somebody wants to hear it, and kept for a while."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path

from stsmt.audio import MAX_SECONDS, Audio, read_audio
from stsmt.codec import Codec
from stsmt.corpus.pairs import Pair, Utterance
from stsmt.corpus.recordings import read_recording
from stsmt.errors import UserError

Decode = Callable[[Sequence[int]], Audio]


def decoder(codec: Codec) -> Decode:
    """Decode codes of anybody's corpus: those that the codec does not have are refused.

    Raises (when called):
        UserError: for codes of another codec, or too many.
    """

    def decode(codes: Sequence[int]) -> Audio:
        if max(codes) >= codec.codebook_size:
            raise UserError("These codes are not of this model's codec, so they cannot be heard with it.")
        if len(codes) > MAX_SECONDS * codec.frame_rate:
            raise UserError(f"The sound of this pair is too long to be heard here (over {MAX_SECONDS:.0f} s).")
        return codec.decode(codes)

    return decode


class Sounds:
    """Sound by pair and side; at most `size` are kept.

    Only files that the index names are opened, and only if they are still what they were when it was made.
    """

    def __init__(self, decode: Decode, size: int = 64) -> None:
        self._decode, self._size = decode, size
        self._kept: OrderedDict[tuple[str, str], Audio] = OrderedDict()
        self._lock = threading.Lock()

    def of(self, pair: Pair, side: str) -> Audio | None:
        """The sound of "source" or "target"; None where there is none.

        Raises:
            UserError: if it cannot be decoded or read.
        """
        key = (pair.id, side)
        with self._lock:
            if key in self._kept:
                self._kept.move_to_end(key)
                return self._kept[key]
        audio = self._make(getattr(pair, side))
        if audio is not None:
            self._keep(key, audio)
        return audio

    def _make(self, utterance: Utterance) -> Audio | None:
        if utterance.codes:
            return self._decode(utterance.codes)
        return read_audio(read_recording(Path(utterance.audio))) if utterance.audio else None

    def _keep(self, key: tuple[str, str], audio: Audio) -> None:
        with self._lock:
            self._kept[key] = audio
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)
