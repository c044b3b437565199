"""Sound → codes → sound, equal to the formulas it follows, and refusing what is no codec."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from stsmt.audio import Audio
from stsmt.codec import Codec, code_count, decode_stream, features, load_codec
from stsmt.errors import UserError
from tests.conftest import make_speech
from tests.tiny import CODEBOOK_SIZE


@pytest.fixture(scope="session")
def codec(tiny_checkpoint: Path) -> Codec:
    return load_codec(tiny_checkpoint / "codec")


def kaldi_features(samples: np.ndarray) -> np.ndarray:
    """Kaldi's log-mel filter bank [frames, 80] as torchaudio documents it, written down anew, frame by frame."""
    window = (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 399)) ** 0.85  # povey
    mel = lambda hz: 1127 * np.log1p(np.asarray(hz) / 700)  # noqa: E731
    edges = np.linspace(mel(20), mel(8000), 82)
    bins = mel(np.arange(257) * 16000 / 512)
    rise = (bins[None] - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    fall = (edges[2:, None] - bins[None]) / (edges[2:] - edges[1:-1])[:, None]
    filters = np.maximum(0, np.minimum(rise, fall))  # [80, 257], triangles in mel
    rows = []
    for start in range(0, len(samples) - 400 + 1, 160):
        frame = samples[start : start + 400].astype(np.float64) * 2**15
        frame -= frame.mean()
        frame = np.concatenate([frame[:1] * (1 - 0.97), frame[1:] - 0.97 * frame[:-1]]) * window
        power = np.abs(np.fft.rfft(frame, 512)) ** 2
        rows.append(np.log(np.maximum(filters @ power, np.finfo(np.float32).eps)))
    found = np.array(rows)
    return (found - found.mean(0)) / np.sqrt(found.var(0, ddof=1) + 1e-7)


@pytest.mark.parametrize("count", [16000, 15999, 12345])
def test_features_equal_the_kaldi_formula(count: int) -> None:
    samples = make_speech(1.5).samples[:count]
    made = features(samples)
    total = -(-(count + 1) // 320) * 320
    padded = np.zeros(total + 320, np.float32)
    padded[160 : 160 + count] = samples
    expected = kaldi_features(padded).reshape(-1, 160)
    assert made["input_values"].shape == (1, 1, total)
    assert made["input_features"].shape == (1, total // 320, 160)
    assert made["input_features"].dtype == np.float32
    assert np.abs(made["input_features"][0] - expected).max() < 2e-3


def test_features_equal_the_library_frame_by_frame() -> None:
    from transformers import SeamlessM4TFeatureExtractor

    extractor = SeamlessM4TFeatureExtractor(feature_size=80, num_mel_bins=80, stride=2, padding_value=1.0)
    samples = np.concatenate([make_speech(1.5).samples, np.zeros(9600, np.float32)])
    made = features(samples)
    padded = np.pad(made["input_values"][0, 0], 160)
    expected = extractor(padded, sampling_rate=16000, return_tensors="np")["input_features"]
    assert np.abs(made["input_features"] - expected).max() < 1e-4


def test_features_of_silence_are_finite() -> None:
    assert np.isfinite(features(np.zeros(3200, np.float32))["input_features"]).all()


@pytest.mark.parametrize(("samples", "codes"), [(16000, 50), (15999, 50), (15998, 49), (319, 1), (100, 1)])
def test_padding_is_not_counted_as_codes(codec: Codec, samples: int, codes: int) -> None:
    assert code_count(samples) == codes
    assert len(codec.encode(Audio(make_speech(1.0).samples[:samples], 16000))) == codes


def test_codes_are_what_the_model_gives_with_its_own_mask(tiny_checkpoint: Path, codec: Codec, speech: Audio) -> None:
    import torch
    from transformers import Xcodec2Model

    model = Xcodec2Model.from_pretrained(tiny_checkpoint / "codec").eval()
    inputs = {key: torch.from_numpy(value) for key, value in features(speech.samples).items()}
    mask = torch.ones(1, len(speech.samples) + 1, dtype=torch.long)  # the appended sample counts
    with torch.no_grad():
        encoded = model.encode(**inputs, padding_mask=mask)
    valid = int(encoded.audio_codes_mask.sum())
    assert codec.encode(speech) == tuple(encoded.audio_codes[0, 0, :valid].tolist())


def test_the_codec_tells_its_rates_and_keeps_lengths(codec: Codec) -> None:
    assert (codec.sample_rate, codec.frame_rate, codec.codebook_size) == (16000, 50, CODEBOOK_SIZE)
    codes = codec.encode(make_speech(1.0, 44100))
    assert len(codes) == 50
    assert all(0 <= code < CODEBOOK_SIZE for code in codes)
    assert len(codec.decode(codes).samples) == 50 * 320
    assert len(codec.decode(codes[:1]).samples) == 320
    assert len(codec.decode(()).samples) == 0


def test_different_sound_gives_different_codes_and_sound(codec: Codec) -> None:
    noise = Audio(np.random.default_rng(0).normal(0, 0.1, 16000).astype(np.float32), 16000)
    first, second = codec.encode(make_speech(1.0)), codec.encode(noise)
    assert first != second
    assert codec.decode(first).samples.std() > 1e-3
    assert not np.array_equal(codec.decode(first).samples, codec.decode(second).samples)


@pytest.mark.parametrize("count", [1, 24, 25, 26, 50, 51, 77, 150, 333])
def test_windowed_decoding_has_the_length_of_the_whole(codec: Codec, count: int) -> None:
    codes = (codec.encode(make_speech(4.0)) * 2)[:count]
    chunks = list(decode_stream(codec, iter(codes)))
    assert sum(len(chunk.samples) for chunk in chunks) == count * 320


def test_windowed_decoding_is_close_to_whole_decoding(codec: Codec) -> None:
    codes = codec.encode(make_speech(6.0))
    whole = codec.decode(codes).samples
    windowed = np.concatenate([chunk.samples for chunk in decode_stream(codec, codes)])
    blind = np.concatenate([codec.decode(codes[i : i + 50]).samples for i in range(0, len(codes), 50)])
    error = lambda made: np.sqrt(np.mean((made - whole) ** 2) / np.mean(whole**2))  # noqa: E731
    assert error(windowed) < 0.2
    assert error(windowed) < error(blind)  # context is what makes it close


def test_sound_starts_before_all_codes_are_there(codec: Codec) -> None:
    given = 0

    def codes() -> Any:
        nonlocal given
        for code in codec.encode(make_speech(4.0)):
            given += 1
            yield code

    next(decode_stream(codec, codes()))
    assert given == 50


def copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to / "copy"))


def test_a_half_written_codec_is_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(tiny_checkpoint / "codec", tmp_path)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r"codec in .* cannot be loaded"):
        load_codec(folder)
    weights.unlink()
    with pytest.raises(UserError, match=r"codec in .* cannot be loaded"):
        load_codec(folder)
    (folder / "config.json").unlink()
    with pytest.raises(UserError, match=r"config\.json is missing"):
        load_codec(folder)


def test_missing_weights_are_not_drawn_at_random(tiny_checkpoint: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = copy(tiny_checkpoint / "codec", tmp_path)
    weights = load_file(folder / "model.safetensors")
    del weights["fc_encoder.weight"]
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    with pytest.raises(UserError, match=r"incomplete: 1 weights are missing \(first: fc_encoder.weight\)"):
        load_codec(folder)


def test_weights_of_another_shape_are_refused(tiny_checkpoint: Path, tmp_path: Path) -> None:
    folder = copy(tiny_checkpoint / "codec", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"quantization_levels": [4, 4, 4, 4]}))
    with pytest.raises(UserError, match="cannot be loaded"):
        load_codec(folder)


def test_another_model_is_no_codec(tiny_checkpoint: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="'lfm2'; 'xcodec2' is needed"):
        load_codec(tiny_checkpoint)
    with pytest.raises(UserError, match="There is no checkpoint folder"):
        load_codec(tmp_path / "none")


def test_weights_shipped_in_bfloat16_are_used_in_float32(tiny_checkpoint: Path, tmp_path: Path) -> None:
    import torch
    from transformers import Xcodec2Model

    Xcodec2Model.from_pretrained(tiny_checkpoint / "codec", dtype=torch.bfloat16).save_pretrained(tmp_path / "codec")
    codec = load_codec(tmp_path / "codec")
    assert codec.decode(codec.encode(make_speech(0.5))).samples.dtype == np.float32
