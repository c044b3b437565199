"""Codes in the index: the bytes of their numbers end to end.

A database packs a column of lists number by number, which takes most of the time of building an index; nobody searches
within codes, so they are kept as they lie in memory. That also takes a quarter less space.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stsmt.corpus.pairs import CODES, SHORT_CODES

PACKED = pa.large_binary()
_NUMBERS: dict[pa.DataType, np.dtype[Any]] = {SHORT_CODES: np.dtype("<u2"), CODES: np.dtype("<u4")}


def code_bytes(lists: pa.DataType) -> int:
    """Bytes of one code in lists of this type."""
    return _NUMBERS[lists].itemsize


def pack_codes(lists: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of codes as bytes, NULL where there is no list; the numbers are not copied."""
    return pa.chunked_array([_pack(chunk) for chunk in lists.chunks], PACKED)


def _pack(lists: pa.ListArray) -> pa.Array:
    width, values = code_bytes(lists.type), lists.values
    offsets = (np.asarray(lists.offsets, np.int64) + values.offset) * width
    packed = pa.Array.from_buffers(PACKED, len(lists), [None, pa.py_buffer(offsets), values.buffers()[1]])
    return pc.if_else(lists.is_valid(), packed, None) if lists.null_count else packed


def unpack_codes(packed: bytes | None, width: int) -> Sequence[int]:
    """The codes in bytes of the index; none for NULL."""
    return np.frombuffer(packed or b"", {2: "<u2", 4: "<u4"}[width]).tolist()
