"""Codes survive the way into the index and back, whatever piece of a table they come from."""

import pyarrow as pa
import pytest

from stsmt.corpus.packing import code_bytes, pack_codes, unpack_codes
from stsmt.corpus.pairs import CODES, SHORT_CODES

LISTS = [[1, 2, 3], [], None, [65_535], [7, 0, 9], None, [4]]


@pytest.mark.parametrize("kind", [SHORT_CODES, CODES])
@pytest.mark.parametrize("first", [0, 1, 3])
def test_lists_come_back_from_any_slice(kind: pa.DataType, first: int) -> None:
    column = pa.chunked_array([pa.array(LISTS[:4], kind), pa.array(LISTS[4:], kind)]).slice(first, 4)
    packed = pack_codes(column)
    packed.validate(full=True)
    assert packed.is_null().to_pylist() == [codes is None for codes in LISTS[first : first + 4]]
    unpacked = [unpack_codes(value, code_bytes(kind)) for value in packed.to_pylist()]
    assert unpacked == [codes or [] for codes in LISTS[first : first + 4]]


def test_numbers_that_are_themselves_a_slice_come_back() -> None:
    numbers = pa.array(range(100, 120), pa.uint16()).slice(10)
    lists = pa.ListArray.from_arrays(pa.array([0, 2, 5], pa.int32()), numbers)
    packed = pack_codes(pa.chunked_array([lists]))
    assert [unpack_codes(value, 2) for value in packed.to_pylist()] == [[110, 111], [112, 113, 114]]
