"""The prompt format: marker tokens, `render` and `parse`.

This is the only file that knows how a request and its answer are laid out as token ids. The live app, every engine
and the training use it. The words of the format (system prompts, marker tokens, voice tags) are data in a
checkpoint's `prompt.json`, so that a foreign checkpoint needs no code. It knows nothing of audio or of models.

A conversation is ChatML, as LFM2 was trained with (https://docs.liquid.ai/lfm/key-concepts/chat-template)::

    <|startoftext|><|im_start|>system
    {system prompt}{voice tag}<|im_end|>
    <|im_start|>user
    {text, or <|speech_start|> speech tokens <|speech_end|>}<|im_end|>
    <|im_start|>assistant
    {answer}<|im_end|>

The answer is a sequence of fields, each opened by its marker: the transcript (its marker names the language, which
makes language identification one token), the translation, the speech. `Task` and `Mode` decide which are present.

Where `prompt.json` has cues, tokens that name phones, the model says to itself what it is about to say, as Moshi does
in words (Défossez et al. 2024, "inner monologue"). All speech of an answer is preceded by its *reading*, all of its
phones (in direct translation the only plan, as in Translatotron 2, Jia et al. 2022); and within the speech a cue names
the phone to be spoken next where the phone before it begins, so that the model never loses its place. The cues of
speech after a reading come in its order (`Sampling.script`). Where the cues are for hearing, too, what is heard is
written down in phones before anything else (*hearing*), between the transcript's marker and the cue of silence.

"beams" of `prompt.json` says how many ways of going on are weighed side by side in the fields where that pays: by
field, or as "plan" for the reading of direct translation.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

from stsmt.characters import Characters, bytes_of, ranges_of
from stsmt.checkpoint import PROMPT_FILE, read_prompt
from stsmt.errors import UserError
from stsmt.example import (
    LANGUAGES,
    SILENCE,
    Cue,
    Example,
    Field,
    Language,
    Mode,
    Task,
    answer_fields,
    other_language,
)
from stsmt.phase import Phase, Rendered

SEARCHED = frozenset(("hearing", "transcript", "translation", "reading", "plan"))  # what "beams" may name
MOST_BEAMS = 16  # vLLM gives 20 probabilities of a token at most; more than 8 found nothing better


class Tokenizer(Protocol):
    """What is needed of a transformers tokenizer."""

    def encode(self, text: str, *, add_special_tokens: bool, split_special_tokens: bool) -> list[int]: ...
    def decode(self, token_ids: list[int], *, skip_special_tokens: bool) -> str: ...
    def convert_tokens_to_ids(self, tokens: str) -> int | None: ...
    def convert_ids_to_tokens(self, ids: list[int]) -> list[str | None]: ...
    def __len__(self) -> int: ...
    @property
    def added_tokens_decoder(self) -> Mapping[int, Any]: ...


class PromptFormat:
    """`prompt.json` bound to a tokenizer: renders requests to ids and parses ids back.

    Raises:
        UserError: if `data` lacks a key or names a token that the tokenizer does not have.
    """

    def __init__(self, data: dict[str, Any], tokenizer: Tokenizer, codebook_size: int) -> None:
        self.data, self._tokenizer, self.codebook_size = data, tokenizer, codebook_size
        self._lock = Lock()  # a fast tokenizer panics when one thread switches its options while another uses it
        try:
            self.default_mode = Mode(data["default_mode"])
            self.voices: dict[str, Language] = {name: v["language"] for name, v in data["voices"].items()}
            self.default_voices: dict[str, str] = data["default_voices"]
            turns, markers = data["turns"], data["markers"]
            self._turns = {name: self._special(turns[name]) for name in ("bos", "start", "end")}
            self._speech_start, self._speech_end = (self._special(markers[k]) for k in ("speech_start", "speech_end"))
            self._markers = {
                (field, language): self._special(markers[field][language])
                for field in ("transcript", "translation")
                for language in LANGUAGES
            }
            self.speech_offset = self._special(data["speech_token"].format(code=0))
            last = self._special(data["speech_token"].format(code=codebook_size - 1))
            self._voice_ids = {name: self._special(v["token"]) for name, v in data["voices"].items()}
            cues = data.get("cues", {"names": []})
            self._cue_ids = {name: self._special(cues["token"].format(name=name)) for name in cues["names"]}
            self._reading_start = self._cue_ids[SILENCE] if self._cue_ids else None
            self._hears = bool(self._cue_ids and cues.get("hearing"))
            self._beams: dict[str, int] = data.get("beams", {})
            if not (self._beams.keys() <= SEARCHED and set(self._beams.values()) <= {*range(1, MOST_BEAMS + 1)}):
                raise ValueError(f"beams are 1 to {MOST_BEAMS} for {', '.join(sorted(SEARCHED))}")
            self._systems = {key: self._text(words) for key, words in data["system"].items()}
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UserError(
                f"The checkpoint's {PROMPT_FILE} is not usable ({error!r}); repair or re-export it."
            ) from None
        if last - self.speech_offset != codebook_size - 1:
            raise UserError(
                f"The checkpoint's vocabulary does not hold the codec's {codebook_size} speech tokens in one run; "
                "use the codec that it was trained with."
            )
        self._cues = {token: name for name, token in self._cue_ids.items()}
        self._newline = self._text("\n")
        self._roles = {role: self._text(f"{role}\n") for role in ("system", "user", "assistant")}

    @classmethod
    def load(cls, folder: Path, tokenizer: Tokenizer, codebook_size: int) -> "PromptFormat":
        """Bind `prompt.json` of a checkpoint folder to its tokenizer."""
        return cls(read_prompt(folder), tokenizer, codebook_size)

    # -- ids of single things ------------------------------------------------------------------------------------

    def _special(self, token: str) -> int:
        found = self._tokenizer.convert_tokens_to_ids(token)
        if found is None or self._tokenizer.decode([found], skip_special_tokens=False) != token:
            raise UserError(f"The checkpoint's tokenizer has no token {token}, which its {PROMPT_FILE} names.")
        return found

    def _text(self, text: str) -> list[int]:
        with self._lock:
            return self._tokenizer.encode(text, add_special_tokens=False, split_special_tokens=True)

    @property
    def beginning(self) -> int:
        """The id that begins every conversation."""
        return self._turns["bos"]

    @property
    def end_of_turn(self) -> int:
        """The id that ends an answer."""
        return self._turns["end"]

    @property
    def speech_ids(self) -> range:
        """The ids of all speech tokens; code = id − `speech_offset`."""
        return range(self.speech_offset, self.speech_offset + self.codebook_size)

    def _fields(self, example: Example) -> list[Field]:
        missing = {"hearing": not self._hears, "reading": not self._cues}
        return [field for field in answer_fields(example.task, example.mode) if not missing.get(field)]

    @cached_property
    def _allowed(self) -> dict[Field, tuple[range, ...]]:
        text, phones = self.text_ids, ranges_of(self._cues.keys() - {self._reading_start})
        texts: dict[Field, tuple[range, ...]] = {"transcript": text, "translation": text}
        return {**texts, "hearing": phones, "reading": self.cue_ids, "speech": self.spoken_ids}

    @cached_property
    def cue_ids(self) -> tuple[range, ...]:
        """The ids of all cues, in ascending ranges."""
        return ranges_of(self._cues)

    @cached_property
    def spoken_ids(self) -> tuple[range, ...]:
        """The ids that may come in the speech of an answer: speech tokens and cues, in ascending ranges."""
        return ranges_of([*self.speech_ids, *self._cues])

    def codes_of(self, ids: Iterable[int]) -> Iterator[int]:
        """The codes among the ids of a spoken answer, as they come; cues are left out."""
        return (id - self.speech_offset for id in ids if id in self.speech_ids)

    @property
    def marker_ids(self) -> frozenset[int]:
        """Ids that are neither text nor speech nor cues: turns, field markers, voice tags."""
        speech = (self._speech_start, self._speech_end)
        return frozenset((*self._turns.values(), *speech, *self._markers.values(), *self._voice_ids.values()))

    @cached_property
    def text_ids(self) -> tuple[range, ...]:
        """The ids of plain text: all but control and speech tokens, in ascending ranges."""
        taken = {*self._tokenizer.added_tokens_decoder, *self.speech_ids, *self._cues, *self.marker_ids}
        return ranges_of(set(range(len(self._tokenizer))) - taken)

    def transcript_marker(self, language: Language) -> int:
        """The id that opens a transcript in `language`; comparing both identifies the language."""
        return self._markers["transcript", language]

    def encode_text(self, text: str) -> list[int]:
        """Ids of plain text; special tokens spelled out in it stay ordinary characters.

        Raises:
            UserError: if the tokenizer cannot keep the text apart from control tokens.
        """
        ids = self._text(text)
        if any(i in self.speech_ids or i in self._cues or i in self.marker_ids for i in ids):
            raise UserError("The text contains control tokens of the model (such as <|im_end|>); remove them.")
        return ids

    @cached_property
    def characters(self) -> Characters:
        """What the text tokens stand for."""
        ids = [id for ids in self.text_ids for id in ids]
        pieces = zip(ids, map(bytes_of, self._tokenizer.convert_ids_to_tokens(ids)), strict=True)
        return Characters({id: piece for id, piece in pieces if piece is not None})

    def decode_text(self, ids: Sequence[int]) -> str:
        """The text of `ids`; an unfinished multi-byte character at the end shows as U+FFFD."""
        with self._lock:
            return self._tokenizer.decode(list(ids), skip_special_tokens=True)

    def render_speech(self, codes: Sequence[int], cues: Sequence[Cue] = ()) -> list[int]:
        """Ids of speech between its marks, with its cues among the codes."""
        ids = [self.speech_offset + code for code in codes]
        for place, name in reversed(cues):
            ids.insert(place, self._cue_ids[name])
        return [self._speech_start, *ids, self._speech_end]

    # -- render --------------------------------------------------------------------------------------------------

    def _system_key(self, example: Example) -> str:
        if example.task is Task.STT:
            return "stt"
        if example.task is Task.STS:
            return f"sts.{example.mode}.{example.target_language}"
        return f"{example.task.lower()}.{example.target_language}"

    def _turn(self, role: str, content: list[int]) -> list[int]:
        return [self._turns["start"], *self._roles[role], *content, self._turns["end"], *self._newline]

    def render_prompt(self, example: Example) -> list[int]:
        """Ids of the request, up to where the answer begins."""
        voice = [] if example.voice is None else [self._voice_ids[example.voice]]
        if example.source_codes is not None and example.task in (Task.STS, Task.STT):
            user = self.render_speech(example.source_codes)
        else:
            user = self.encode_text(example.source_text or "")
        return [
            self._turns["bos"],
            *self._turn("system", self._systems[self._system_key(example)] + voice),
            *self._turn("user", user),
            self._turns["start"],
            *self._roles["assistant"],
        ]

    def phases(self, example: Example) -> list[Phase]:
        """The fields to generate, with the ids that open and the id that ends each."""
        fields = self._fields(example)
        openings = [self._opening(field, example) for field in fields]
        ends = [*openings[1:], self.end_of_turn]
        ends = [self._speech_end if field == "speech" else end for field, end in zip(fields, ends, strict=True)]
        plans = example.task is Task.STS and example.mode is Mode.DIRECT
        beams = [self._beams.get("plan" if plans and field == "reading" else field, 1) for field in fields]
        return [
            Phase(field, [opening], self._allowed[field], end, width)
            for field, opening, end, width in zip(fields, openings, ends, beams, strict=True)
        ]

    def _opening(self, field: Field, example: Example) -> int:
        if field == "speech":
            return self._speech_start
        if field == "reading" or (field == "transcript" and self._hears):
            assert self._reading_start is not None
            return self._reading_start
        if field == "translation":
            return self._markers[field, example.target_language]
        return self.transcript_marker(example.source_language)

    def render_answer(self, example: Example) -> list[int]:
        """Ids of the answer, its end marker included. Every field of the task must be present, but an answer may lack
        the codes: then it is cut before its speech."""
        ids: list[int] = []
        for field in self._fields(example):
            if field in ("hearing", "reading"):
                names = example.source_phones if field == "hearing" else [name for _, name in example.target_cues]
                ids += [self._opening(field, example), *(self._cue_ids[name] for name in names)]
            elif field == "speech":
                if example.target_codes is None:
                    return ids
                ids += self.render_speech(example.target_codes, example.target_cues if self._cues else ())
            else:
                text = example.source_text if field == "transcript" else example.target_text
                assert text is not None
                ids += [self._opening(field, example), *self.encode_text(text)]
        return [*ids, self.end_of_turn]

    def render(self, example: Example) -> Rendered:
        """A whole training conversation and the mask of its answer. Where there is no sound, phones are not heard but
        given, and not learnt."""
        prompt, answer = self.render_prompt(example), self.render_answer(example)
        silent = self._hears and example.source_codes == () and "hearing" in self._fields(example)
        given = len(prompt) + (2 + len(example.source_phones) if silent else 0)  # with the marks around them
        return Rendered(prompt + answer, [0] * given + [1] * (len(prompt) + len(answer) - given))

    # -- parse ---------------------------------------------------------------------------------------------------

    def parse(self, ids: Sequence[int]) -> Example:
        """The inverse of `render`.

        Raises:
            ValueError: if `ids` are not one conversation of this format.
        """
        turns = self._split_turns(list(ids))
        system, user, answer = (turns[role] for role in ("system", "user", "assistant"))
        names = {token: name for name, token in self._voice_ids.items()}
        voice = names.get(system[-1]) if system else None
        words = system[:-1] if voice else system
        key = next(key for key, prompt in self._systems.items() if prompt == words)
        example = self._read_answer(self._example_of(key, voice), answer)
        if user[:1] == [self._speech_start]:
            return replace(example, source_codes=self._codes(user[1:-1]))
        return replace(example, source_text=self.decode_text(user))

    def _split_turns(self, ids: list[int]) -> dict[str, list[int]]:
        turns: dict[str, list[int]] = {}
        position = 1
        for role, words in self._roles.items():
            start = position + 1 + len(words)
            if ids[position : position + 1] != [self._turns["start"]] or ids[position + 1 : start] != words:
                raise ValueError(f"no {role} turn at position {position}")
            stop = ids.index(self._turns["end"], start)
            turns[role], position = ids[start:stop], stop + 1 + len(self._newline)
        return turns

    def _example_of(self, key: str, voice: str | None) -> Example:
        task, *rest = key.split(".")
        if task == "stt":
            return Example(Task.STT, "ja", "ja", voice=voice)
        target: Language = "ja" if rest[-1] == "ja" else "en"
        source = target if task == "tts" else other_language(target)
        mode = Mode(rest[0]) if task == "sts" else Mode.CHAIN
        return Example(Task(task.upper()), source, target, mode=mode, voice=voice)

    def _read_answer(self, example: Example, ids: list[int]) -> Example:
        fields = {token: key for key, token in self._markers.items()}
        position = 0
        while position < len(ids):
            opening, position = ids[position], position + 1
            if self._hears and fields.get(opening, ("",))[0] == "transcript":
                example, position = self._read_hearing(example, fields[opening][1], ids, position)
                if example.task is Task.STS and example.mode is Mode.DIRECT:
                    continue
            closing = self.marker_ids | self._cues.keys() if opening in fields else self.marker_ids
            stop = next((i for i in range(position, len(ids)) if ids[i] in closing), len(ids))
            body = ids[position:stop]
            if opening == self._speech_start:
                codes, cues = self._separate(body)
                example, stop = replace(example, target_codes=codes, target_cues=cues), stop + 1
            elif opening in self._cues:
                pass  # the reading: its cues come again within the speech
            elif opening not in fields:
                raise ValueError(f"id {opening} does not open a field")
            elif fields[opening][0] == "transcript":
                example = replace(example, source_text=self.decode_text(body), source_language=fields[opening][1])
                if example.task is Task.STT:
                    example = replace(example, target_language=fields[opening][1])
            else:
                example = replace(example, target_text=self.decode_text(body))
            position = stop
        return example

    def _read_hearing(self, example: Example, language: Language, ids: list[int], start: int) -> tuple[Example, int]:
        """The example with the phones from `start` on, and where what follows them begins."""
        stop = next((i for i in range(start, len(ids)) if ids[i] == self._reading_start), len(ids))
        if any(id not in self._cues for id in ids[start:stop]):
            raise ValueError("text ids inside what is heard")
        phones = tuple(self._cues[id] for id in ids[start:stop])
        keeps = example.task is Task.STS and example.mode is Mode.DIRECT  # there, silence opens the reading
        return replace(example, source_language=language, source_phones=phones), stop if keeps else stop + 1

    def _separate(self, ids: Sequence[int]) -> tuple[tuple[int, ...], tuple[Cue, ...]]:
        places = [i for i, token in enumerate(ids) if token in self._cues]
        cues = tuple((place - number, self._cues[ids[place]]) for number, place in enumerate(places))
        return self._codes([token for token in ids if token not in self._cues]), cues

    def _codes(self, ids: Sequence[int]) -> tuple[int, ...]:
        if any(i not in self.speech_ids for i in ids):
            raise ValueError("text ids inside speech")
        return tuple(i - self.speech_offset for i in ids)
