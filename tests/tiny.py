"""A whole checkpoint of the real classes, small enough to build in a second: random LFM2, real BPE, random X-Codec2."""

import json
from pathlib import Path
from typing import Any

import torch
from transformers import Lfm2Config, Lfm2ForCausalLM, PreTrainedTokenizerFast, Xcodec2Config, Xcodec2Model

LEVELS = (4, 4, 4)
CODEBOOK_SIZE = 64
CUES = ("sil", *(f"{language}:{phone}" for language in ("ja", "en") for phone in "aiu"))
SENTENCES = (
    "Where is the station? I would like two cups of coffee, please. How much is this?",
    "駅はどこですか。コーヒーを二つお願いします。これはいくらですか。",
    "Transcribe the speech. Speak Japanese. Speak English. Translate to Japanese. Translate to English.",
    "system user assistant",
)


def prompt_data(hearing: bool = False) -> dict[str, Any]:
    """A `prompt.json` with everything that the format names."""
    names = {"ja": "Japanese", "en": "English"}
    system = {"stt": "Transcribe the speech."}
    for key, name in names.items():
        system |= {
            f"tts.{key}": f"Speak {name}.",
            f"mt.{key}": f"Translate to {name}.",
            f"sts.chain.{key}": f"Interpret into {name}, step by step.",
            f"sts.direct.{key}": f"Interpret into {name}.",
        }
    voices = {"mei": "ja", "mei-low": "ja", "slt": "en", "awb": "en"}
    return {
        "default_mode": "chain",
        "system": system,
        "turns": {"bos": "<|startoftext|>", "start": "<|im_start|>", "end": "<|im_end|>"},
        "markers": {
            "speech_start": "<|speech_start|>",
            "speech_end": "<|speech_end|>",
            "transcript": {key: f"<|transcript_{key}|>" for key in names},
            "translation": {key: f"<|translation_{key}|>" for key in names},
        },
        "speech_token": "<|s_{code}|>",
        "cues": {"token": "<|cue_{name}|>", "names": list(CUES), "hearing": hearing},
        "voices": {name: {"language": language, "token": f"<|voice_{name}|>"} for name, language in voices.items()},
        "default_voices": {"ja": "mei", "en": "slt"},
    }


def special_tokens(data: dict[str, Any], codebook_size: int) -> list[str]:
    """All tokens that `data` names, the speech tokens and cues last."""
    markers = data["markers"]
    return [
        "<|pad|>",
        *data["turns"].values(),
        markers["speech_start"],
        markers["speech_end"],
        *markers["transcript"].values(),
        *markers["translation"].values(),
        *(voice["token"] for voice in data["voices"].values()),
        *(data["speech_token"].format(code=code) for code in range(codebook_size)),
        *(data["cues"]["token"].format(name=name) for name in data["cues"]["names"]),
    ]


def tiny_tokenizer(codebook_size: int = CODEBOOK_SIZE) -> PreTrainedTokenizerFast:
    """A byte-level BPE trained here on a few sentences, plus all special and speech tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=320, initial_alphabet=alphabet, show_progress=False)
    bpe.train_from_iterator(SENTENCES, trainer)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        bos_token="<|startoftext|>",
        eos_token="<|im_end|>",
        pad_token="<|pad|>",
        clean_up_tokenization_spaces=False,
    )
    tokenizer.add_tokens(special_tokens(prompt_data(), codebook_size), special_tokens=True)
    return tokenizer


def tiny_lm(vocab_size: int, seed: int = 0) -> Lfm2ForCausalLM:
    """About 60,000 random parameters in the real layout; wide enough initialised that inputs matter."""
    torch.manual_seed(seed)
    config = Lfm2Config(
        vocab_size=vocab_size,
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        layer_types=["conv", "conv", "full_attention", "conv"],
        block_multiple_of=8,
        conv_dim=32,
        block_dim=32,
        max_position_embeddings=1024,
        initializer_range=0.2,
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
    )
    return Lfm2ForCausalLM(config).eval()


def tiny_codec(seed: int = 0) -> Xcodec2Model:
    """About 200,000 random parameters.

    The library's own initialisation collapses (one code, audio exactly 0): every matrix is drawn again at
    std sqrt(2 / fan_in).
    """
    torch.manual_seed(seed)
    semantic = {
        "model_type": "wav2vec2-bert",
        "hidden_size": 32,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "intermediate_size": 64,
        "feature_projection_input_dim": 160,
        "output_hidden_size": 32,
        "conv_depthwise_kernel_size": 7,
    }
    config = Xcodec2Config(
        hidden_size=64,
        intermediate_size=64,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_key_value_heads=2,
        head_dim=32,
        encoder_hidden_size=2,
        downsampling_ratios=[10, 8, 4],
        quantization_dim=96,
        quantization_levels=list(LEVELS),
        semantic_model_config=semantic,
    )
    model = Xcodec2Model(config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "filter" not in name:
                parameter.normal_(0, (2 / parameter[0].numel()) ** 0.5)
    return model.eval()


def build_checkpoint(folder: Path, seed: int = 0) -> Path:
    """Write a checkpoint as `assets/embedded/` is laid out; returns `folder`."""
    tokenizer = tiny_tokenizer()
    tokenizer.save_pretrained(folder)
    tiny_lm(len(tokenizer), seed).save_pretrained(folder)
    tiny_codec(seed).save_pretrained(folder / "codec")
    (folder / "prompt.json").write_text(json.dumps(prompt_data(), indent=1), encoding="utf-8")
    (folder / "card.md").write_text("# tiny\n\nRandom weights for tests.\n", encoding="utf-8")
    (folder / "revision").write_text("test-0\n", encoding="utf-8")
    return folder
