"""The bundled model's tokenizer and `prompt.json`: a small byte-level BPE over both languages, then speech tokens."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from stsmt.checkpoint import PROMPT_FILE, read_prompt
from stsmt.example import LANGUAGES, SILENCE, cue_name
from training.synthesise import MAX_SECONDS
from training.voices import PHONES, VOICES

TURNS = {"bos": "<|startoftext|>", "start": "<|im_start|>", "end": "<|im_end|>"}
MARKERS: dict[str, Any] = {
    "speech_start": "<|speech_start|>",
    "speech_end": "<|speech_end|>",
    "transcript": {language: f"<|transcript_{language}|>" for language in LANGUAGES},
    "translation": {language: f"<|translation_{language}|>" for language in LANGUAGES},
}
NAMES = {"ja": "Japanese", "en": "English"}
DEFAULT_VOICES = {"ja": "mei", "en": "slt"}
# How answers are searched for; by trials on dev sentences, see training/LOG.md.
SAMPLING = {"temperature": 0.1, "top_k": 50, "run_limit": 10}
BEAMS = {"plan": 6, "translation": 4}


def prompt_data() -> dict[str, Any]:
    """The contents of `prompt.json`."""
    system = {"stt": "Transcribe the speech."}
    for language, name in NAMES.items():
        system[f"tts.{language}"] = f"Speak {name}."
        system[f"mt.{language}"] = f"Translate to {name}."
        system[f"sts.chain.{language}"] = f"Translate to {name} and speak."
        system[f"sts.direct.{language}"] = f"Speak the translation to {name}."
    targets = [voice for voice in VOICES.values() if voice.role == "target"]
    return {
        "default_mode": "chain",
        "system": system,
        "turns": TURNS,
        "markers": MARKERS,
        "speech_token": "<|s_{code}|>",
        "cues": {"token": "<|cue_{name}|>", "names": cue_names(), "hearing": True},
        "voices": {v.name: {"language": v.language, "token": f"<|voice_{v.name}|>"} for v in targets},
        "default_voices": DEFAULT_VOICES,
        "sampling": SAMPLING,
        "beams": BEAMS,
        "max_source_seconds": MAX_SECONDS,
    }


def cue_names() -> list[str]:
    """Every phone of both languages, and silence."""
    return [SILENCE, *(cue_name(language, phone) for language in LANGUAGES for phone in PHONES[language].split())]


def control_tokens(data: dict[str, Any]) -> list[str]:
    """All tokens of `prompt.json` that are neither text nor speech."""
    markers = data["markers"]
    fields = [markers[field][language] for field in ("transcript", "translation") for language in LANGUAGES]
    voices = [voice["token"] for voice in data["voices"].values()]
    return ["<|pad|>", *data["turns"].values(), markers["speech_start"], markers["speech_end"], *fields, *voices]


def build_tokenizer(texts: Iterable[str], codebook_size: int, text_size: int = 1024) -> PreTrainedTokenizerFast:
    """A byte-level BPE of about `text_size` pieces, then `codebook_size` speech tokens in one run, then cues."""
    data = prompt_data()
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    specials = control_tokens(data)
    trainer = trainers.BpeTrainer(
        vocab_size=text_size,
        special_tokens=specials,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator([*texts, *data["system"].values(), "system\n", "user\n", "assistant\n"], trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        pad_token="<|pad|>",
        bos_token=TURNS["bos"],
        eos_token=TURNS["end"],
        clean_up_tokenization_spaces=False,
    )
    add_speech(tokenizer, data, codebook_size)
    return tokenizer


def add_speech(tokenizer: PreTrainedTokenizerFast, data: dict[str, Any], codebook_size: int) -> int:
    """Add the speech tokens and cues of a `prompt.json` that `tokenizer` lacks; returns their number.

    They are special, so that text which spells a token out is never read as one.
    """
    speech = [data["speech_token"].format(code=code) for code in range(codebook_size)]
    cues = [data["cues"]["token"].format(name=name) for name in data["cues"]["names"]]
    return tokenizer.add_tokens([*speech, *cues], special_tokens=True)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Write tokenizer files and `prompt.json`."""
    tokenizer.save_pretrained(folder)
    save_prompt(folder, prompt_data())


def upgrade(folder: Path, codebook_size: int) -> None:
    """Give an older checkpoint what it lacks of speech tokens and cues, and let it write down what it hears."""
    before = read_prompt(folder)
    data = before | {"cues": prompt_data()["cues"] | before.get("cues", {}) | {"hearing": True}}
    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    if add_speech(tokenizer, data, codebook_size):
        tokenizer.save_pretrained(folder)
    if data != before:
        save_prompt(folder, data)


def save_prompt(folder: Path, data: dict[str, Any]) -> None:
    """Write `prompt.json`."""
    (folder / PROMPT_FILE).write_text(json.dumps(data, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
