"""Put a trained run into the tree: `python -m training.export --work runs/embedded --assets assets`.

Writes `assets/embedded` (LM, tokenizer, prompt, codec, card, revision), `assets/judge`, `assets/corpus` (the codes of
the training utterances) and `assets/examples` (test sentences that were never trained on, with their texts). The
revision is a hash of the weights. `--restore` goes the other way: what is shipped becomes the start of a new run, so
that `python -m training.sft` goes on with it without a codec to train or a sentence to speak.
"""

import argparse
import hashlib
import json
import random
import shutil
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stsmt.audio import write_wav
from stsmt.errors import UserError, stated_errors
from stsmt.example import LANGUAGES
from training.phrasebook.grammar import phrases
from training.phrasebook.swaps import SWAPPED
from training.tokenizer import DEFAULT_VOICES, prompt_data, save_prompt
from training.voices import speak

CODES = "codes.parquet"
SHIPPED_PHRASES = 7_500  # whose codes fit beside the weights (training/assets.py)
EXAMPLES = 3  # per language
REVISION_LENGTH = 12
CARD = """# stsmt embedded {revision}

A small speech-to-speech translator for Japanese and English that runs on a laptop CPU: `Lfm2ForCausalLM`
({lm_parameters:.1f} M parameters) over the codes of an `Xcodec2Model` ({codec_parameters:.1f} M parameters, 50 codes a
second, {codebook} codes).

**Trained on** the phrasebook of this repository only: {templates} sentence templates in both languages, spoken by
synthetic voices (Open JTalk "mei" in three variants; flite slt, rms, awb). It also listened to flite kal, to espeak-ng
and to higher and lower variants of these voices.
No recording of a person and no data of another model was used.

**Made for** translating, transcribing and speaking short everyday sentences of that phrasebook (travel, shopping, food,
time, health, work), also with words combined as it has never seen them. {note}

**It cannot** do open conversation, names and words outside the phrasebook, long sentences, or keep your voice; human
voices, accents and noise are outside what it was trained on. What it says may be wrong: look at the transcript and
at the notice that the app shows when the model is unsure.

**Numbers**: see README.md, made by `python -m training.evaluate`; they hold for synthetic voices.

**Licence**: Apache-2.0, like the code. The voices: Open JTalk's "mei" (CC BY 3.0, MMDAgent project team, Nagoya
Institute of Technology), flite's CMU voices (BSD-like). These weights share no weights with, and are not derived
from, LFM2-350M, X-Codec2, Llasa or Emilia (the latter three are for non-commercial use only).
"""


def export(work: Path, assets: Path, seed: int, note: str = "") -> str:
    """Copy checkpoint, judge and examples; returns the revision. `note` says on the card how far the model has come."""
    target = assets / "embedded"
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(work / "lm", target)
    shutil.copytree(work / "codec", target / "codec")
    save_prompt(target, prompt_data())
    if (work / "judge").exists():
        shutil.copytree(work / "judge", assets / "judge", dirs_exist_ok=True)
    if (work / CODES).exists():
        (assets / "corpus").mkdir(exist_ok=True)
        export_codes(work / CODES, assets / "corpus" / CODES)
    weights = sorted(target.rglob("*.safetensors"))
    digest = hashlib.sha256()
    for path in weights:
        digest.update(path.read_bytes())
    revision = digest.hexdigest()[:REVISION_LENGTH]
    (target / "revision").write_text(revision + "\n", encoding="utf-8")
    (target / "card.md").write_text(card(target, revision, note), encoding="utf-8")
    export_examples(assets / "examples", seed)
    return revision


def export_codes(origin: Path, target: Path) -> None:
    """Write the clean codes of the first takes of `SHIPPED_PHRASES` phrases, the templates in turn; no nonsense."""
    table = pq.read_table(origin, filters=[("split", "!=", SWAPPED)])
    templates = dict(zip(table["phrase"].to_pylist(), table["template"].to_pylist(), strict=True))
    turns: Counter[str] = Counter()
    turn_of = {}
    for phrase, template in templates.items():
        turn_of[phrase] = turns[template]
        turns[template] += 1
    chosen = sorted(turn_of, key=turn_of.__getitem__)[:SHIPPED_PHRASES]
    table = table.filter(pc.is_in(table["phrase"], value_set=pa.array(chosen)))
    keys = list(zip(table["phrase"].to_pylist(), table["language"].to_pylist(), strict=True))
    table = table.take(sorted({key: place for place, key in reversed(list(enumerate(keys)))}.values()))
    column = table.column_names.index("augmented")
    table = table.set_column(column, "augmented", pa.nulls(table.num_rows, table.schema.field(column).type))
    pq.write_table(table, target, compression="zstd", compression_level=19)


def restore(work: Path, assets: Path) -> None:
    """Make a run folder of what is shipped.

    Raises:
        UserError: if there is a run in `work` already.
    """
    if (work / "lm").exists():
        raise UserError(f"{work} holds a run already; give another --work.")
    work.mkdir(parents=True, exist_ok=True)
    shutil.copytree(assets / "embedded", work / "lm", ignore=shutil.ignore_patterns("codec", "card.md", "revision"))
    shutil.copytree(assets / "embedded" / "codec", work / "codec")
    shutil.copytree(assets / "judge", work / "judge")
    shutil.copy(assets / "corpus" / CODES, work / CODES)


def card(folder: Path, revision: str, note: str) -> str:
    """The model card, its sizes read from the files."""
    codec = json.loads((folder / "codec" / "config.json").read_text(encoding="utf-8"))
    codebook = 1
    for levels in codec["quantization_levels"]:
        codebook *= levels
    trained = {phrase.template for phrase in phrases() if phrase.split == "train"}
    millions = [(folder / name / "model.safetensors").stat().st_size / 2e6 for name in (".", "codec")]
    return CARD.format(
        revision=revision,
        note=note,
        lm_parameters=millions[0],
        codec_parameters=millions[1],
        codebook=codebook,
        templates=len(trained),
    )


def export_examples(folder: Path, seed: int) -> None:
    """Speak a few test sentences of different templates in the default voices."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    pool = [p for p in phrases() if p.split == "test"]
    listed = []
    for language in LANGUAGES:
        for number, phrase in enumerate(rng.sample(pool, EXAMPLES), 1):
            text = getattr(phrase, language)
            name = f"{language}-{number}.wav"
            write_wav(folder / name, speak(text, language, DEFAULT_VOICES[language]))
            listed.append({"file": name, "language": language, "text": text})
    (folder / "examples.json").write_text(json.dumps(listed, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--assets", type=Path, default=Path("assets"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--note", default="", help="how far the model has come, for the card")
    parser.add_argument("--restore", action="store_true", help="make a run folder of what is shipped")
    a = parser.parse_args()
    with stated_errors():
        if a.restore:
            restore(a.work, a.assets)
        else:
            print(export(a.work, a.assets, a.seed, a.note))


if __name__ == "__main__":
    main()
