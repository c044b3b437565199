"""Measure pairs: `python -m training.signals assets/corpus/pairs.parquet -o assets/corpus/pairs.parquet`.

Takes what `stsmt corpus index` takes; write the output into the folder of its recordings if it has any, for an index
takes recordings only from there. Adds columns to the pairs, each a signal with a version in the metadata: how sound
both sides are, how long and how loud, what the judge hears against what is written, how lengths of sound and text
compare; with `--translation MODEL` also how probable the translation is, and with `--whisper`, `--speaker` and
`--dnsmos` what other models say (`optional_signals`). What was measured before an interruption is kept beside the
output and not measured again. A value that cannot be measured is NULL.
"""

import argparse
import hashlib
import json
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from tqdm import tqdm
from transformers import AutoModelForCausalLM, Xcodec2Model

from stsmt.audio import Audio, read_audio, silence_share
from stsmt.checkpoint import read_prompt
from stsmt.corpus.pairs import SIDES, SIGNALS_KEY, Pair, Utterance, from_row, with_versions, write_table
from stsmt.corpus.recordings import read_recording
from stsmt.corpus.shards import read_pairs
from stsmt.corpus.sources import open_shards
from stsmt.errors import UserError, stated_errors
from stsmt.example import Example, Task
from stsmt.health import expected_seconds, measure_codes, measure_text
from stsmt.lm import load_tokenizer
from stsmt.prompt import PromptFormat
from stsmt.text import normalise_for_scoring
from training.optional_signals import OptionalSignals, load_optional
from training.recogniser import Judge, reading

CHUNK = 50  # pairs between two savings
BATCH = 16
DIGITS = 3  # more would say nothing and cost bytes
CLIPPED = 0.999
Row = dict[str, float | str | None]


# -- one side --------------------------------------------------------------------------------------------------------


def letters(text: str, language: str) -> int:
    """How many letters are spoken: no punctuation, no spaces."""
    return len(normalise_for_scoring(text, language).replace(" ", ""))


def loudness_of(audio: Audio) -> float:
    """RMS of the whole in dBFS."""
    return float(20 * np.log10(max(np.sqrt(np.mean(np.square(audio.samples))), 1e-5)))


SIDED: dict[str, Callable[[Utterance, Audio], float | None]] = {
    "longest_run": lambda said, audio: measure_codes(said.codes).longest_run if said.codes else None,
    "repeat_share": lambda said, audio: measure_codes(said.codes).repeat_share if said.codes else None,
    "silence_share": lambda said, audio: silence_share(audio),
    "expected_ratio": lambda said, audio: audio.seconds / expected_seconds(said.text, said.language),
    "characters_per_second": lambda said, audio: letters(said.text, said.language) / audio.seconds,
    "loudness": lambda said, audio: loudness_of(audio),
    "clipped_share": lambda said, audio: float(np.mean(np.abs(audio.samples) >= CLIPPED)),
}


def error_rate(said: Utterance) -> float | None:
    """CER (ja) or WER (en) in percent of what was heard against the reading."""
    if said.language == "ja" or not said.reading or said.heard is None:
        return character_error_rate(said)
    return 100 * float(jiwer.process_words(said.reading, said.heard).wer)


def character_error_rate(said: Utterance) -> float | None:
    """CER in percent, in both languages: it tells more where hardly a whole word is heard right."""
    if not said.reading or said.heard is None:
        return None
    wanted, heard = ("".join(text.split()) for text in (said.reading, said.heard))
    return 100 * float(jiwer.process_characters(wanted, heard).cer)


def side_signals(said: Utterance, audio: Audio) -> Row:
    """All signals of a side that has been heard."""
    measured = {name: measure(said, audio) for name, measure in SIDED.items()} if len(audio.samples) else {}
    heard = {"error_rate": error_rate(said), "character_error_rate": character_error_rate(said)}
    written = {"text_repeat_share": measure_text(said.text).repeat_share}
    return {**{name: measured.get(name) for name in SIDED}, **written, **heard}


def pair_signals(pair: Pair) -> Row:
    """How the two sides compare."""
    source, target = pair.source, pair.target
    spoken = target.seconds / source.seconds if source.seconds and target.seconds else None
    written = letters(target.text, target.language) / max(1, letters(source.text, source.language))
    return {"duration_ratio": spoken, "text_ratio": written}


# -- models ----------------------------------------------------------------------------------------------------------


def decode_all(codec: Xcodec2Model, sides: Sequence[Utterance], device: str) -> list[Audio]:
    """The sound of all sides; those of equal length are decoded together, which needs no padding."""
    by_length: dict[int, list[int]] = defaultdict(list)
    for index, side in enumerate(sides):
        by_length[len(side.codes)].append(index)
    found = [Audio(np.zeros(0, np.float32), codec.config.sampling_rate)] * len(sides)
    for length, group in by_length.items():
        for start in range(0, len(group) if length else 0, BATCH):
            some = group[start : start + BATCH]
            codes = torch.tensor([sides[i].codes for i in some], device=device)[:, None]
            with torch.inference_mode():
                samples = codec.decode(audio_codes=codes).audio_values[:, 0].float().cpu().numpy()
            for index, row in zip(some, samples, strict=True):
                found[index] = Audio(row, codec.config.sampling_rate)
    return found


def sounds_of(codec: Xcodec2Model, sides: Sequence[Utterance], device: str) -> list[Audio]:
    """The sound of all sides: of their codes, else of their recordings; none where neither can be heard."""
    decoded = decode_all(codec, sides, device)
    return [_recorded(side, audio) if not side.codes and side.audio else audio for side, audio in zip(sides, decoded)]


def _recorded(side: Utterance, silence: Audio) -> Audio:
    try:
        return read_audio(read_recording(Path(str(side.audio))))
    except UserError as error:
        tqdm.write(f"note: {str(side.audio)[-80:]} is not measured. {error}")
        return silence


class TranslationScorer:
    """Mean log probability (natural, per token) of the target text as a translation of the source text."""

    def __init__(self, folder: Path, device: str) -> None:
        self.model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval().to(device)
        size = int(np.prod(Xcodec2Model.config_class.from_pretrained(folder / "codec").quantization_levels))
        self.prompt, self.device = PromptFormat(read_prompt(folder), load_tokenizer(folder), size), device

    @torch.inference_mode()
    def __call__(self, pair: Pair) -> float:
        said, asked = pair.source, pair.target
        task = partial(Example, Task.MT, said.language, asked.language)
        rendered = self.prompt.render(task(source_text=said.text, target_text=asked.text))
        ids, mask = (torch.tensor(x, device=self.device) for x in (rendered.ids, rendered.loss_mask))
        scores = self.model(ids[None]).logits[0, :-1].float().log_softmax(-1)
        chosen = scores.gather(1, ids[1:, None])[:, 0]
        return float(chosen[mask[1:] == 1].mean())


@dataclass(frozen=True)
class Bench:
    """What measures; without a judge or a scorer their signals are not measured."""

    codec: Xcodec2Model
    judge: Judge | None
    scorer: TranslationScorer | None
    versions: dict[str, str]
    device: str = "cpu"
    optional: OptionalSignals = field(default_factory=OptionalSignals)

    def measure(self, pairs: Sequence[Pair]) -> list[Row]:
        """A row of signals, `…_heard` and `…_reading` for each pair."""
        rows: list[Row] = [pair_signals(pair) for pair in pairs]
        sounds: dict[str, list[Audio]] = {}
        for name in SIDES:
            sides = [getattr(pair, name) for pair in pairs]
            sounds[name] = sounds_of(self.codec, sides, self.device)
            for row, side, audio in zip(rows, sides, sounds[name], strict=True):
                heard = self.hear(side, audio)
                measured = side_signals(heard, audio) | self.optional.side(side, audio)
                row |= {f"{name}_{key}": value for key, value in measured.items()}
                row |= {f"{name}_heard": heard.heard, f"{name}_reading": _kept_reading(heard)}
        for row, source, target in zip(rows, *sounds.values(), strict=True):
            row |= self.optional.pair(source, target)
        if self.scorer is not None:
            for row, pair in zip(rows, pairs, strict=True):
                row["translation_log_probability"] = self.scorer(pair)
        return [{key: _rounded(row.get(key)) for key in (*self.versions, *TEXTS)} for row in rows]

    def hear(self, side: Utterance, audio: Audio) -> Utterance:
        if self.judge is None or not len(audio.samples):
            return side
        heard = self.judge.transcribe([audio], side.language)[0]
        return replace(side, heard=heard, reading=reading(side.text, side.language))


def _kept_reading(side: Utterance) -> str | None:
    """English is read as it is written, so only a Japanese reading says more than the text."""
    return side.reading if side.language == "ja" else None


TEXTS = tuple(f"{side}_{kind}" for side in SIDES for kind in ("heard", "reading"))


def _rounded(value: float | str | None) -> float | str | None:
    return value if value is None or isinstance(value, str) else float(f"{value:.{DIGITS}g}")


def load_bench(
    codec: Path, judge: Path | None, translation: Path | None, device: str, optional: OptionalSignals | None = None
) -> Bench:
    """Load the models; the version of a signal names the weights it was measured with."""
    listener = f"1, codec {_digest(codec)}"
    versions = {f"{side}_{name}": listener for side in SIDES for name in SIDED}
    versions |= {
        f"{side}_{name}": "1" for side in SIDES for name in ("longest_run", "repeat_share", "text_repeat_share")
    }
    optional = optional or OptionalSignals()
    if judge is not None:
        judged = f"{listener}, judge {_digest(judge)}"
        versions |= {f"{side}_{name}": judged for side in SIDES for name in ("error_rate", "character_error_rate")}
    versions |= {"duration_ratio": "1", "text_ratio": "1"}
    if translation is not None:
        versions["translation_log_probability"] = f"1, model {_digest(translation)}"
    return Bench(
        Xcodec2Model.from_pretrained(codec, dtype=torch.float32).eval().to(device),
        None if judge is None else Judge.load(judge),
        None if translation is None else TranslationScorer(translation, device),
        versions | optional.versions,
        device,
        optional,
    )


def _digest(folder: Path) -> str:
    return hashlib.sha256((folder / "model.safetensors").read_bytes()).hexdigest()[:8]


# -- shards ----------------------------------------------------------------------------------------------------------


def measure_pairs(source: str, output: Path, bench: Bench, limit: int | None = None) -> None:
    """Measure all pairs of a source that `open_shards` takes (or its first `limit`) and write them as one shard.

    Raises:
        UserError: if the source cannot be read.
    """
    table, pairs = read_source(source, output.parent)
    table, pairs = table.slice(0, limit), pairs[:limit]
    state = hashlib.sha256(json.dumps([bench.versions, limit]).encode())
    for pair in pairs:
        state.update(repr(pair).encode())
    parts = output.with_name(f".{output.name}.{state.hexdigest()[:12]}")
    parts.mkdir(exist_ok=True)
    rows = [row for chunk in _chunks(pairs, bench, parts) for row in chunk]
    write_table(output, with_signals(table, rows, bench.versions))
    for part in parts.iterdir():
        part.unlink()
    parts.rmdir()


def read_source(source: str, folder: Path) -> tuple[pa.Table, list[Pair]]:
    """A Parquet file just as it is, anything else in the columns of a shard for `folder`; and its pairs."""
    shards = open_shards([source])
    if Path(source).is_file():
        table, pairs = pq.read_table(source), read_pairs(Path(source))
        if len(table) != len(pairs):
            raise UserError(f"{source} has rows without text or language; clean it first.")
        return table, pairs
    tables = [batch.table for shard in shards for batch in shard.batches()]
    whole = pa.concat_tables(tables, promote_options="permissive").combine_chunks()
    versions = {name: version for shard in shards for name, version in shard.signals.items()}
    pairs = [from_row(row, versions) for row in whole.to_pylist()]
    for name in (f"{side}_audio" for side in SIDES):
        column = pa.array([_within(path, folder) for path in whole[name].to_pylist()], pa.string())
        whole = whole.set_column(whole.column_names.index(name), name, column)
    return with_versions(whole, versions), pairs


def _within(path: str | None, folder: Path) -> str | None:
    """The path as a shard in this folder names it."""
    if path is None or not Path(path).is_relative_to(folder.resolve()):
        return path
    return str(Path(path).relative_to(folder.resolve()))


def _chunks(pairs: Sequence[Pair], bench: Bench, parts: Path) -> Iterator[list[Row]]:
    """The rows of `CHUNK` pairs at a time, measured or read back."""
    for start in tqdm(range(0, len(pairs), CHUNK), desc="signals", unit=f"×{CHUNK} pairs"):
        part = parts / f"{start:08}.json"
        if not part.exists():
            rows = bench.measure(pairs[start : start + CHUNK])
            temporary = part.with_suffix(".tmp")
            temporary.write_text(json.dumps(rows, ensure_ascii=False), encoding="utf-8")
            temporary.replace(part)
        yield json.loads(part.read_text(encoding="utf-8"))


def with_signals(table: pa.Table, rows: Sequence[Row], versions: dict[str, str]) -> pa.Table:
    """The shard with its signals; those of other names that it had before stay."""
    for name in (*versions, *TEXTS):
        kind = pa.string() if name in TEXTS else pa.float64()
        column: Any = pa.array([row[name] for row in rows], kind)
        if name in table.column_names:
            table = table.set_column(table.column_names.index(name), name, column)
        else:
            table = table.append_column(name, column)
    before = json.loads((table.schema.metadata or {}).get(SIGNALS_KEY, b"{}"))
    return with_versions(table, before | versions)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", help="Parquet file, folder, or dataset on the Hub")
    parser.add_argument("-o", "--output", type=Path, required=True, help="where it goes with its signals")
    parser.add_argument("--codec", type=Path, default=Path("assets/embedded/codec"))
    parser.add_argument("--judge", type=Path, default=Path("assets/judge"))
    parser.add_argument("--no-judge", action="store_true", help="measure no error rates")
    parser.add_argument("--translation", type=Path, metavar="MODEL", help="checkpoint that scores translations (slow)")
    parser.add_argument("--whisper", metavar="NAME", help="folder or Hub name of a Whisper: its error rate by letter")
    parser.add_argument("--speaker", metavar="NAME", help="folder or Hub name of a WavLM-XVector: similarity of voices")
    parser.add_argument("--dnsmos", action="store_true", help='predicted opinion scores (pip install -e ".[quality]")')
    parser.add_argument("--limit", type=int, help="only the first so many pairs")
    parser.add_argument("--device", default="cpu")
    a = parser.parse_args()
    with stated_errors():
        optional = load_optional(a.whisper, a.speaker, a.dnsmos, a.device)
        bench = load_bench(a.codec, None if a.no_judge else a.judge, a.translation, a.device, optional)
        measure_pairs(a.source, a.output, bench, a.limit)


if __name__ == "__main__":
    main()
