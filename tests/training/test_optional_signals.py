"""Optional signals: tiny random models of the real classes stand for the large ones."""

import re
from pathlib import Path

import pytest
import torch
from transformers import (
    Wav2Vec2FeatureExtractor,
    WavLMConfig,
    WavLMForXVector,
    WhisperConfig,
    WhisperFeatureExtractor,
    WhisperForConditionalGeneration,
    WhisperTokenizer,
)

from stsmt.audio import Audio
from stsmt.corpus.pairs import Utterance
from stsmt.errors import UserError
from tests.conftest import make_speech
from tests.corpus.pairs import make_pairs
from training.optional_signals import NEEDED_BY_MOS, _installed, load_optional
from training.signals import load_bench


@pytest.fixture(scope="module")
def speaker(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(0)
    size = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}
    layers = {"conv_dim": (16, 16), "conv_kernel": (10, 8), "conv_stride": (10, 8), "num_feat_extract_layers": 2}
    heads = {"tdnn_dim": (16, 16, 16, 16, 24), "xvector_output_dim": 8, "num_conv_pos_embeddings": 16}
    config = WavLMConfig(**size, **layers, **heads, num_conv_pos_embedding_groups=2)
    folder = tmp_path_factory.mktemp("speaker")
    WavLMForXVector(config).save_pretrained(folder)
    Wav2Vec2FeatureExtractor().save_pretrained(folder)
    return str(folder)


@pytest.fixture(scope="module")
def whisper(tmp_path_factory: pytest.TempPathFactory) -> str:
    """It says whatever its random weights say, in letters."""
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("whisper")
    letters = {letter: i for i, letter in enumerate("abcdefghijklmnop")} | {"<|endoftext|>": 16}
    WhisperTokenizer(vocab=letters, merges=[]).save_pretrained(folder)
    WhisperFeatureExtractor().save_pretrained(folder)
    size = {"d_model": 16, "encoder_ffn_dim": 16, "decoder_ffn_dim": 16}
    layers = {f"{part}_{kind}": 1 for part in ("encoder", "decoder") for kind in ("layers", "attention_heads")}
    ends = {"decoder_start_token_id": 16, "eos_token_id": 16, "pad_token_id": 16, "bos_token_id": 16}
    config = WhisperConfig(vocab_size=20, max_target_positions=24, **size, **layers, **ends)
    model = WhisperForConditionalGeneration(config)
    model.generation_config.max_length = 12
    model.save_pretrained(folder)
    return str(folder)


def test_the_same_voice_is_most_similar_to_itself(speaker: str) -> None:
    measures = load_optional(speaker=speaker)
    assert measures.versions == {"speaker_similarity": f"1, {speaker}"}
    first, second = make_speech(1.0), make_speech(1.0, 22050, seed=3)
    assert measures.pair(first, first)["speaker_similarity"] == pytest.approx(1, abs=1e-4)
    assert -1 <= (measures.pair(first, second)["speaker_similarity"] or 9) < 1
    assert measures.pair(first, Audio(first.samples[:10], 16000)) == {}


def test_whisper_says_how_much_it_hears_wrong(whisper: str) -> None:
    measures = load_optional(whisper=whisper)
    assert set(measures.versions) == {"source_whisper_error_rate", "target_whisper_error_rate"}
    found = measures.side(Utterance("Where is it?", "en"), make_speech(0.5))
    assert found["whisper_error_rate"] is not None
    assert found["whisper_error_rate"] > 0
    assert measures.side(Utterance("…", "ja"), make_speech(0.5)) == {"whisper_error_rate": None}


def test_optional_signals_stand_beside_the_others(tiny_checkpoint: Path, speaker: str) -> None:
    bench = load_bench(tiny_checkpoint / "codec", None, None, "cpu", load_optional(speaker=speaker, mos=True))
    (row,) = bench.measure(make_pairs(1))
    assert row["speaker_similarity"] is not None
    if any(_installed(package) is None for package in NEEDED_BY_MOS):
        assert row["source_mos_p808"] is row["target_mos_p835"] is None
        assert re.fullmatch(r"not measured: \w+ is not installed", bench.versions["source_mos_p808"])
    else:
        assert all(
            1 <= row[f"{side}_{name}"] <= 5 for side in ("source", "target") for name in ("mos_p808", "mos_p835")
        )


def test_a_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="neither be opened here nor fetched"):
        load_optional(whisper=str(tmp_path / "missing"))
