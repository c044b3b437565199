"""Whole characters: which tokens of a byte-level vocabulary may follow half a character.

A rare character is several tokens, and nothing but habit makes a model finish one that it has begun.
"""

from codecs import getincrementaldecoder
from collections.abc import Iterable, Mapping
from functools import lru_cache
from itertools import pairwise


def _alphabet() -> dict[str, int]:
    """The byte that each character of a byte-level token stands for (Radford et al. 2019, GPT-2's encoder)."""
    shown = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in shown]
    return {chr(byte): byte for byte in shown} | {chr(256 + i): byte for i, byte in enumerate(hidden)}


ALPHABET = _alphabet()


def bytes_of(token: str | None) -> bytes | None:
    """The bytes of a byte-level token; None for what is none (a hole in a vocabulary, a vocabulary of another kind)."""
    return bytes(ALPHABET[c] for c in token) if token and set(token) <= ALPHABET.keys() else None


def left_open(data: bytes) -> bytes | None:
    """The beginning of a character at the end of `data`, b"" if there is none; None if `data` begins no UTF-8 text."""
    decoder = getincrementaldecoder("utf-8")()
    try:
        decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return decoder.getstate()[0]


class Characters:
    """The tokens of a vocabulary as `pieces` of text: id → bytes. Ids without a piece may stand anywhere."""

    def __init__(self, pieces: Mapping[int, bytes]) -> None:
        self._pieces = pieces
        self.following = lru_cache(maxsize=1024)(self._following)

    def after(self, begun: bytes, id: int) -> bytes | None:
        """What is open after `id` has followed `begun`; None if it cannot follow."""
        return left_open(begun + self._pieces.get(id, b""))

    def _following(self, begun: bytes) -> tuple[range, ...]:
        """The ids that can follow `begun`, in ascending ranges."""
        return ranges_of(id for id in self._pieces if self.after(begun, id) is not None)


def ranges_of(ids: Iterable[int]) -> tuple[range, ...]:
    """The same ids in ascending ranges."""
    ordered = sorted(ids)
    starts = [i for i in range(len(ordered)) if i == 0 or ordered[i] != ordered[i - 1] + 1]
    return tuple(range(ordered[a], ordered[b - 1] + 1) for a, b in pairwise([*starts, len(ordered)]))
