"""One file owns the prompt format; what it renders it reads back."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stsmt.errors import UserError
from stsmt.example import SILENCE, Example, Language, Mode, Task, answer_fields, other_language
from stsmt.prompt import PromptFormat
from tests.tiny import CODEBOOK_SIZE, CUES, prompt_data, tiny_tokenizer

TOKENIZER = tiny_tokenizer()
PROMPT = PromptFormat(prompt_data(), TOKENIZER, CODEBOOK_SIZE)
HEARING = PromptFormat(prompt_data(hearing=True), TOKENIZER, CODEBOOK_SIZE)
FORMATS = st.sampled_from([PROMPT, HEARING])
VOICES: dict[Language, list[str | None]] = {"ja": [None, "mei", "mei-low"], "en": [None, "slt", "awb"]}

controls = st.sampled_from(["<|im_end|>", "<|s_3|>", "<|speech_start|>", "<|transcript_ja|>", "<|im_start|>user\n"])
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=30) | controls
phones = st.lists(st.sampled_from([name for name in CUES if name != SILENCE]), max_size=8).map(tuple)
codes = st.lists(st.integers(0, CODEBOOK_SIZE - 1), max_size=20).map(tuple)


@st.composite
def examples(draw: st.DrawFn) -> Example:
    """Complete examples of every task, mode, direction and voice."""
    task, mode = draw(st.sampled_from(Task)), draw(st.sampled_from(Mode))
    target: Language = draw(st.sampled_from(["ja", "en"]))
    source = other_language(target) if task in (Task.STS, Task.MT) else target
    if task is Task.STT:
        heard = {"source_codes": draw(codes), "source_phones": draw(phones)}
        return Example(task, source, target, source_text=draw(texts), **heard)
    if task is Task.MT:
        return Example(task, source, target, source_text=draw(texts), target_text=draw(texts))
    voice, made = draw(st.sampled_from(VOICES[target])), draw(codes)
    places = sorted(draw(st.lists(st.integers(0, len(made)), max_size=8)))
    cues = tuple((place, draw(st.sampled_from(CUES))) for place in places)
    if task is Task.TTS:
        return Example(task, source, target, voice=voice, source_text=draw(texts), target_codes=made, target_cues=cues)
    heard = {"source_codes": draw(codes), "source_phones": draw(phones)}
    written = {"source_text": draw(texts), "target_text": draw(texts)} if mode is Mode.CHAIN else {}
    return Example(task, source, target, mode, voice, **heard, **written, target_codes=made, target_cues=cues)


@given(examples(), FORMATS)
def test_parse_inverts_render(example: Example, form: PromptFormat) -> None:
    known = example if form is HEARING else replace(example, source_phones=())
    assert form.parse(form.render(example).ids) == known


@given(examples(), FORMATS)
def test_the_loss_covers_exactly_the_answer(example: Example, form: PromptFormat) -> None:
    rendered = form.render(example)
    prompt = form.render_prompt(example)
    assert rendered.ids[: len(prompt)] == prompt
    given = len(prompt)
    if form is HEARING and example.source_codes == ():  # phones that nobody said
        given += 1 + len(example.source_phones) + 1
    assert rendered.loss_mask == [0] * given + [1] * (len(rendered.ids) - given)
    assert rendered.ids[-1] == form.end_of_turn


@given(examples(), FORMATS)
def test_generating_phase_by_phase_gives_the_rendered_answer(example: Example, form: PromptFormat) -> None:
    answer = form.render_answer(example)
    built: list[int] = []
    for phase in form.phases(example):
        begin = len(built) + len(phase.opening)
        body = answer[begin : answer.index(phase.end, begin)]
        assert all(any(token in ids for ids in phase.allowed) for token in body)
        if phase.is_speech:
            assert tuple(PROMPT.codes_of(body)) == example.target_codes
        elif phase.field == "reading":
            assert len(body) == len(example.target_cues)
        elif phase.field == "hearing":
            assert len(body) == len(example.source_phones)
        else:
            text = example.source_text if phase.field == "transcript" else example.target_text
            assert body == PROMPT.encode_text(text or "")
        built += [*phase.opening, *body]
        assert answer[len(built)] == phase.end
    assert built == answer[: len(built)]


@given(examples(), FORMATS, st.data())
def test_damaged_conversations_raise_value_error_or_parse(
    example: Example, form: PromptFormat, data: st.DataObject
) -> None:
    ids = form.render(example).ids
    cut = data.draw(st.integers(0, len(ids) - 1))
    try:
        form.parse(ids[:cut])
    except ValueError:
        return


def test_text_speech_and_control_ids_share_nothing_and_make_up_the_vocabulary() -> None:
    text = {id for ids in PROMPT.text_ids for id in ids}
    speech, markers = {id for ids in PROMPT.spoken_ids for id in ids}, set(PROMPT.marker_ids)
    assert not text & speech and not text & markers and not speech & markers
    pad = {TOKENIZER.pad_token_id}
    assert text | speech | markers | pad == set(range(len(TOKENIZER)))


def test_a_vocabulary_that_does_not_match_the_codec_is_refused() -> None:
    with pytest.raises(UserError, match="no token <\\|s_255\\|>"):
        PromptFormat(prompt_data(), TOKENIZER, 256)


@pytest.mark.parametrize("key", ["system", "turns", "markers", "voices", "default_mode", "speech_token"])
def test_a_prompt_file_with_a_part_missing_is_refused(key: str) -> None:
    data = prompt_data()
    del data[key]
    with pytest.raises(UserError, match="not usable"):
        PromptFormat(data, TOKENIZER, CODEBOOK_SIZE)


@pytest.mark.parametrize(
    ("content", "words"), [(None, "No prompt.json"), ("{", "not valid JSON"), ("[]", "JSON object")]
)
def test_a_prompt_file_that_cannot_be_read_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "prompt.json").write_text(content)
    with pytest.raises(UserError, match=words):
        PromptFormat.load(tmp_path, TOKENIZER, CODEBOOK_SIZE)


def test_the_fields_follow_from_task_and_mode() -> None:
    assert answer_fields(Task.STS, Mode.CHAIN) == ("hearing", "transcript", "translation", "reading", "speech")
    assert answer_fields(Task.TTS, Mode.CHAIN) == ("reading", "speech")
    assert answer_fields(Task.STS, Mode.DIRECT) == ("hearing", "reading", "speech")
    assert answer_fields(Task.STT, Mode.CHAIN) == ("hearing", "transcript")
    assert answer_fields(Task.MT, Mode.CHAIN) == ("translation",)


def test_threads_may_share_a_prompt_format() -> None:
    """A fast tokenizer panics ("Already borrowed") when its options change while another thread uses it."""
    expected = PROMPT.encode_text("駅はどこですか。")

    def work(_: int) -> bool:
        plain = TOKENIZER.encode("<|im_end|>", add_special_tokens=False)  # switches the option back
        ids = PROMPT.encode_text("駅はどこですか。")
        return bool(plain) and PROMPT.decode_text(ids) == "駅はどこですか。" and ids == expected

    with ThreadPoolExecutor(1) as pool:
        assert all(pool.map(work, range(20)))
    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(lambda _: PROMPT.encode_text("駅はどこですか。") == expected, range(400)))


def test_a_checkpoint_without_cues_speaks_without_a_reading() -> None:
    data = prompt_data()
    del data["cues"]
    plain = PromptFormat(data, TOKENIZER, CODEBOOK_SIZE)
    example = Example(Task.TTS, "en", "en", source_text="hello", target_codes=(1, 2), target_cues=((0, "sil"),))
    assert [phase.field for phase in plain.phases(example)] == ["speech"]
    assert plain.parse(plain.render(example).ids) == Example(
        Task.TTS, "en", "en", source_text="hello", target_codes=(1, 2)
    )


def test_phones_are_heard_after_the_language_and_before_the_first_word() -> None:
    example = Example(Task.STT, "ja", "ja", source_text="駅", source_codes=(1,), source_phones=("ja:a", "ja:a"))
    assert [phase.field for phase in PROMPT.phases(example)] == ["transcript"]
    hearing, transcript = HEARING.phases(example)
    assert hearing.opening == [HEARING.transcript_marker("ja")] and transcript.opening == [hearing.end]
    assert not any(hearing.end in ids for ids in hearing.allowed)
    words = len(HEARING.encode_text("駅"))
    assert HEARING.render_answer(example)[1:3] == [HEARING.render_answer(example)[1]] * 2
    assert len(HEARING.render_answer(example)) == 1 + 2 + 1 + words + 1


def test_cues_without_silence_are_refused() -> None:
    data = prompt_data()
    data["cues"]["names"] = ["ja:a"]
    with pytest.raises(UserError, match="sil"):
        PromptFormat(data, TOKENIZER, CODEBOOK_SIZE)
