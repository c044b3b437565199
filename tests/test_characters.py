"""Characters of several tokens come whole or not at all."""

from collections.abc import Iterator, Sequence

from stsmt.answer import Attempt
from stsmt.characters import Characters, bytes_of, left_open, ranges_of
from stsmt.lm import Sampling, Token

STOP = 300
BYTES = Characters({byte: bytes([byte]) for byte in range(256)})


class Careless:
    """Wants to say `wanted`, whatever is allowed decides; takes the lowest id where its own is not."""

    context, vocab_size = 1000, 301

    def __init__(self, wanted: Sequence[int]) -> None:
        self.wanted = wanted

    def generate(self, ids: Sequence[int], sampling: Sampling) -> Iterator[Token]:
        for place in range(len(ids), min(len(self.wanted), len(ids) + sampling.max_new_tokens)):
            wanted = self.wanted[place]
            fits = wanted == STOP or any(wanted in allowed for allowed in sampling.allowed)
            yield Token(wanted if fits else sampling.allowed[0].start, -0.5)
            if wanted == STOP:
                return

    def next_log_probabilities(self, ids: Sequence[int], candidates: Sequence[int]) -> list[float]:
        return [0.0] * len(candidates)


def said(wanted: Sequence[int]) -> Attempt:
    attempt = Attempt(Careless(wanted), [], Sampling((range(256),), STOP, 50), BYTES)
    list(attempt)
    return attempt


def test_whole_text_is_left_as_it_is() -> None:
    attempt = said([*"小林 ok".encode(), STOP])
    assert bytes(attempt.ids).decode() == "小林 ok" and attempt.end_reached


def test_a_character_that_was_left_open_is_finished() -> None:
    begun, rest = "小".encode()[:2], "林".encode()
    attempt = said([*begun, rest[0], *rest, STOP])
    assert bytes(attempt.ids).decode()[1:] == "林" and attempt.end_reached


def test_what_no_character_begins_with_is_said_otherwise() -> None:
    assert "\ufffd" not in bytes(said([0x8F, *b"abc", STOP]).ids).decode(errors="replace")


def test_a_text_that_the_limit_ends_may_end_in_half_a_character() -> None:
    attempt = Attempt(Careless([*"小小".encode()]), [], Sampling((range(256),), STOP, 5), BYTES)
    assert bytes(attempt).decode(errors="ignore") == "小" and len(attempt.ids) == 5


def test_bytes_stand_for_themselves_in_a_byte_level_vocabulary() -> None:
    from tests.tiny import tiny_tokenizer

    tokenizer = tiny_tokenizer()
    ids = tokenizer.encode("駅は小さい é!", add_special_tokens=False)
    pieces = [bytes_of(token) for token in tokenizer.convert_ids_to_tokens(ids)]
    assert b"".join(piece for piece in pieces if piece is not None).decode() == "駅は小さい é!"
    assert bytes_of("▁駅") is bytes_of(None) is bytes_of("") is None


def test_a_vocabulary_of_another_kind_is_left_alone() -> None:
    attempt = Attempt(Careless([7, 8, STOP]), [], Sampling((range(256),), STOP, 50), Characters({}))
    assert list(attempt) == [7, 8] and attempt.end_reached


def test_what_a_vocabulary_cannot_finish_is_taken_as_it_comes() -> None:
    poor = Characters({0xE5: b"\xe5", ord("a"): b"a"})
    attempt = Attempt(Careless([0xE5, ord("a"), STOP]), [], Sampling((range(256),), STOP, 50), poor)
    assert list(attempt) == [0xE5, ord("a")] and attempt.end_reached


def test_what_is_open_and_what_is_broken() -> None:
    assert left_open("小".encode()) == b"" and left_open("小".encode()[:2]) == "小".encode()[:2]
    assert left_open(b"\xe5A") is None and left_open(b"\x8f") is None
    assert ranges_of([5, 3, 4, 9]) == (range(3, 6), range(9, 10))
