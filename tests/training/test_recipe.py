"""The stages of the recipe do what they say, on noise and tiny models."""

import json
import random
import shutil
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from transformers import Lfm2ForCausalLM, PreTrainedTokenizerFast, Wav2Vec2BertForCTC, Xcodec2Config

from stsmt.audio import Audio
from stsmt.checkpoint import read_prompt
from stsmt.codec import XCodec2
from stsmt.errors import UserError
from stsmt.prompt import PromptFormat
from tests.training.corpus import make_spoken
from training import codec as codec_training
from training import export
from training import tokenise as tokenising
from training.augment import CodeJitter, augment
from training.budget import Budget
from training.export import restore
from training.pack import IGNORE
from training.phones import PhoneHead, phone_loss
from training.phrasebook.swaps import SWAPPED
from training.recogniser import Judge, encoder_config, reinitialise
from training.sft import prepare
from training.speech import key_of, read_list
from training.tokenise import encode_corpus, tokenise
from training.tokenizer import build_tokenizer, prompt_data, save_prompt, upgrade


def small_config() -> Xcodec2Config:
    return codec_training.codec_config(hidden=64, layers=1, semantic=32, semantic_layers=1, levels=3)


def test_training_codes_are_those_of_the_live_codec() -> None:
    model = codec_training.JointCodec(small_config(), 4, seed=0).codec.eval()
    spoken = make_spoken(1)[0]
    trained = encode_corpus(model, [spoken], "cpu")[0]
    live = XCodec2(model).encode(Audio(spoken.samples.astype(np.float32) / 32768.0, 16_000))
    assert np.mean(np.asarray(live) == trained) > 0.98  # a code on the edge between two levels may differ


def test_joint_training_reaches_every_part_and_leaves_codes_spread() -> None:
    model = codec_training.JointCodec(small_config(), 4, seed=0)
    batch = make_spoken(2)
    waves = codec_training.crop_waves(batch, [3, 5], 32, 320)
    padded, mask = codec_training.pad_features(batch)
    logits, made, spread = model(padded, mask, waves, [3, 5])
    assert made.shape == (2, 32 * 320) and logits.shape[:2] == padded.shape[:2]
    (made.square().mean() + logits.square().mean() + spread).backward()
    silent = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert [name for name in silent if "masked_spec_embed" not in name] == []


def test_the_decoder_stage_keeps_the_codes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.understanding.HEAD_STEPS", 2)
    monkeypatch.setattr("training.understanding.EAR_STEPS", 2)
    codec = codec_training.save_codec(codec_training.JointCodec(small_config(), 4, seed=0).codec, tmp_path)
    corpus = [s for s in make_spoken(16) if s.frames > codec_training.CROP_FRAMES]
    codes = encode_corpus(codec, corpus, "cpu")
    heard = [
        codec_training.Heard(s.samples, c.astype(np.int64), np.arange(len(c)) % 4)
        for s, c in zip(corpus, codes, strict=True)
    ]
    schedule = codec_training.Schedule(0.002, alone=0.0, frames=codec_training.CROP_FRAMES)
    codec_training.train_decoder(tmp_path, heard, schedule, seed=0, device="cpu")
    after = codec_training.Xcodec2Model.from_pretrained(tmp_path / "codec", dtype=torch.float32).eval()
    assert np.array_equal(encode_corpus(after, corpus[:1], "cpu")[0], codes[0])
    changed = after.acoustic_decoder.head.linear.weight - codec.acoustic_decoder.head.linear.weight
    assert changed.abs().max() > 0


def test_a_head_names_phones_and_is_not_asked_for_those_that_nobody_knows() -> None:
    logits, labels = PhoneHead(8, 3)(torch.randn(2, 5, 8)).detach(), torch.full((2, 5), IGNORE)
    assert phone_loss(logits, labels).item() == 0
    labels[0, 2] = 1
    assert phone_loss(logits, labels).item() == pytest.approx(-logits.log_softmax(-1)[0, 2, 1].item(), rel=1e-5)


def test_augmentation_is_seeded_and_stays_in_range() -> None:
    samples = np.sin(np.arange(16_000) / 20).astype(np.float32)
    one, two = (augment(samples, random.Random(5), 16_000) for _ in range(2))
    assert np.array_equal(one, two) and np.abs(one).max() <= 1.0 and len(one) > 10_000


def test_code_jitter_moves_single_digits_by_one_level_and_is_seeded(monkeypatch: pytest.MonkeyPatch) -> None:
    jitter, codes = CodeJitter([4, 4, 4]), list(range(64)) * 4
    assert np.array_equal(jitter(codes, random.Random(1)), jitter(codes, random.Random(1)))
    assert len({len(jitter(codes, random.Random(seed))) for seed in range(9)}) > 1, "some codes are dropped or repeated"
    assert len(jitter([5], random.Random(0))) >= 1
    monkeypatch.setattr("training.augment.DROPPED", 0.0)
    monkeypatch.setattr("training.augment.REPEATED", 0.0)
    changed = jitter(codes, random.Random(2))
    digits = [np.array(row)[:, None] // [1, 4, 16] % 4 for row in (changed, codes)]
    assert np.abs(digits[0] - digits[1]).sum(1).max() == 1 and changed.min() >= 0 and changed.max() < 64


def test_a_budget_goes_on_from_its_checkpoint(tmp_path: Path) -> None:
    layer = torch.nn.Linear(2, 2)
    first = Budget(tmp_path / "b.pt", minutes=0.001, state={"layer": layer}, name="test")
    steps = list(first.steps())
    again = Budget(tmp_path / "b.pt", minutes=0.001, state={"layer": torch.nn.Linear(2, 2)}, name="test")
    assert again.step == len(steps) and again.progress == 1 and list(again.steps()) == []
    assert torch.equal(again.state["layer"].weight, layer.weight)


def test_a_budget_that_is_given_less_than_was_spent_has_nothing_left_to_do(tmp_path: Path) -> None:
    state = {"layer": torch.nn.Linear(2, 2)}
    spent = Budget(tmp_path / "b.pt", minutes=9, state=state, name="test")
    spent.seconds = 600.0
    spent.save()
    assert list(Budget(tmp_path / "b.pt", minutes=5, state=state, name="test").steps()) == []


def test_a_judge_is_read_back_and_writes_only_the_asked_script(tmp_path: Path) -> None:
    labels = ["", "a", " ", "ア", "イ"]
    model = Wav2Vec2BertForCTC(encoder_config(32, 1, len(labels)))
    reinitialise(model, 0)
    Judge(model, labels).save(tmp_path)
    judge = Judge.load(tmp_path)
    noise = Audio((np.random.default_rng(0).standard_normal(16_000) * 0.1).astype(np.float32), 16_000)
    assert set(judge.transcribe([noise], "ja")[0]) <= set("アイ")
    assert set(judge.transcribe([noise], "en")[0]) <= set("a ")


def test_the_bundled_tokenizer_serves_the_prompt_format() -> None:
    tokenizer = build_tokenizer(["駅はどこですか。", "Where is the station?"], codebook_size=64, text_size=400)
    prompt = PromptFormat(prompt_data(), tokenizer, 64)
    assert prompt.spoken_ids == (range(prompt.speech_ids.start, len(tokenizer)),)
    for text in ("駅はどこ🙂", "Where’s the café?"):
        assert prompt.decode_text(prompt.encode_text(text)) == text


def test_an_older_checkpoint_gets_cues_and_keeps_its_own_words(tmp_path: Path) -> None:
    tokenizer = build_tokenizer(["駅はどこですか。", "Where is the station?"], codebook_size=64, text_size=400)
    older = {key: value for key, value in prompt_data().items() if key != "cues"}
    older["system"]["stt"] = "Write down what is said."
    tokenizer.save_pretrained(tmp_path)
    save_prompt(tmp_path, older)
    file = tmp_path / "tokenizer.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    content["added_tokens"] = [token for token in content["added_tokens"] if "<|cue_" not in token["content"]]
    file.write_text(json.dumps(content), encoding="utf-8")
    upgrade(tmp_path, 64)
    data = read_prompt(tmp_path)
    assert data["system"] == older["system"]
    prompt = PromptFormat(data, PreTrainedTokenizerFast.from_pretrained(tmp_path), 64)
    assert sum(map(len, prompt.spoken_ids)) == 64 + len(data["cues"]["names"])


def test_clean_codes_of_the_first_takes_are_shipped_of_every_template_in_turn(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {
            "phrase": f"p{i // 2}",
            "template": "rare" if i // 2 == 2 else "common",
            "language": ("ja", "en")[i % 2],
            "split": "train",
            "codes": [i, 1],
            "augmented": [2, 3],
        }
        for i in (*range(6), 0, 3)
    ]
    nonsense = rows[0] | {"phrase": "swap-p0", "template": "nonsense", "split": SWAPPED}
    pq.write_table(pa.Table.from_pylist([nonsense, *rows]), tmp_path / "all.parquet")
    monkeypatch.setattr(export, "SHIPPED_PHRASES", 2)
    export.export_codes(tmp_path / "all.parquet", tmp_path / "some.parquet")
    shipped = pq.read_table(tmp_path / "some.parquet").to_pylist()
    assert [row["phrase"] for row in shipped] == ["p0", "p0", "p2", "p2"]
    assert [row["codes"] for row in shipped] == [row["codes"] for row in (*rows[:2], *rows[4:6])]
    assert all(row["augmented"] is None for row in shipped)


def test_shipped_files_become_a_run_that_training_goes_on_from(tmp_path: Path, tiny_checkpoint: Path) -> None:
    assets, work = tmp_path / "assets", tmp_path / "run"
    shutil.copytree(tiny_checkpoint, assets / "embedded")
    for name, file in (("judge", "labels.json"), ("corpus", "codes.parquet")):
        (assets / name).mkdir()
        (assets / name / file).write_text("{}")
    restore(work, assets)
    assert (work / "lm" / "model.safetensors").exists() and (work / "codec" / "config.json").exists()
    model, prompt = prepare(work, hidden=0, layers=0, seed=0)
    shipped = Lfm2ForCausalLM.from_pretrained(tiny_checkpoint, dtype=torch.float32).get_input_embeddings().weight
    assert torch.equal(model.table(), shipped)
    assert prompt.codebook_size == 64
    with pytest.raises(UserError, match="holds a run already"):
        restore(work, assets)


def write_speech(work: Path, count: int) -> None:
    """A shard of `count` utterances, the first of which is a dev one."""
    (work / "speech").mkdir()
    rows, samples = [], [s.samples for s in make_spoken(count)]
    for number, wave in enumerate(samples):
        split = "dev" if number == 0 else "train"
        place = {"offset": sum(map(len, samples[:number])), "samples": len(wave)}
        names = {"phrase": f"p{number}", "template": "t", "language": "en", "voice": "slt", "text": "x"}
        rows.append(names | place | {"phones": [], "reading": None, "split": split})
    np.savez(work / "speech" / "0000.npz", audio=np.concatenate(samples))
    (work / "speech" / "0000.json").write_text(json.dumps(rows))


def test_a_phrase_of_several_takes_is_decoded_from_the_codes_of_each(tmp_path: Path) -> None:
    write_speech(tmp_path, 3)
    file = tmp_path / "speech" / "0000.json"
    listed = [row | {"phrase": "p", "split": "train", "voice": f"v{i}"} for i, row in enumerate(read_list(file))]
    file.write_text(json.dumps(listed))
    names = ("phrase", "language", "voice", "split")
    codes = [{n: row[n] for n in names} | {"codes": [i, i, i, i], "phones": "a"} for i, row in enumerate(listed)]
    pq.write_table(pa.Table.from_pylist(codes[::-1]), tmp_path / "codes.parquet")
    with pytest.raises(UserError, match=r"training\.align"):
        codec_training.read_heard(tmp_path)
    cues = [{n: row[n] for n in names} | {"cues": [0, i + 1] if i < 2 else None} for i, row in enumerate(listed)]
    pq.write_table(pa.Table.from_pylist(cues), tmp_path / "cues.parquet")
    heard = codec_training.read_heard(tmp_path)
    assert [list(one.codes) for one in heard] == [[0] * 4, [1] * 4, [2] * 4]
    assert [len(one.samples) for one in heard] == [row["samples"] for row in listed]
    assert [list(one.labels) for one in heard] == [[0, 1, 1, 1], [0, 0, 1, 1], [IGNORE] * 4]


def test_augmented_copies_are_added_to_codes_that_are_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    codec_training.save_codec(codec_training.JointCodec(small_config(), 4, seed=0).codec, tmp_path)
    write_speech(tmp_path, 12)
    counts, codes = [], []
    for share in (0.0, 0.5, 0.5, 1.0):
        tokenise(tmp_path, augmented_share=share, seed=0, device="cpu")
        made = pq.read_table(tmp_path / "codes.parquet").to_pylist()
        counts.append([row["phrase"] for row in made if row["augmented"] is not None])
        codes.append([row["codes"] for row in made])
    assert counts[0] == [] and 0 < len(counts[1]) < 11 and counts[1] == counts[2]
    assert len(counts[3]) == 11 and "p0" not in counts[3]
    assert codes[0] == codes[3]
    alone = (tmp_path / "codes.parquet").rename(tmp_path / "alone.parquet")
    monkeypatch.setattr(tokenising, "CHUNK", 5)
    tokenise(tmp_path, augmented_share=1.0, seed=0, device="cpu", processes=2)
    assert pq.read_table(tmp_path / "codes.parquet") == pq.read_table(alone)


def test_after_its_encoder_has_changed_what_is_spoken_is_encoded_again_and_nothing_else(tmp_path: Path) -> None:
    codec_training.save_codec(codec_training.JointCodec(small_config(), 4, seed=0).codec, tmp_path)
    write_speech(tmp_path, 3)
    tokenise(tmp_path, augmented_share=1.0, seed=0, device="cpu")
    first = pq.read_table(tmp_path / "codes.parquet").to_pylist()
    restored = first[0] | {"phrase": "restored"}
    tokenising.write_rows([restored, *first], tmp_path / "codes.parquet")
    codec_training.save_codec(codec_training.JointCodec(small_config(), 4, seed=1).codec, tmp_path)
    tokenise(tmp_path, augmented_share=1.0, seed=0, device="cpu")
    assert pq.read_table(tmp_path / "codes.parquet").to_pylist() == [restored, *first]
    tokenise(tmp_path, augmented_share=1.0, seed=0, device="cpu", again=True)
    kept, *made = pq.read_table(tmp_path / "codes.parquet").to_pylist()
    assert kept == restored and [key_of(row) for row in made] == [key_of(row) for row in first]
    assert all(
        new[kind] != old[kind] for new, old in zip(made[1:], first[1:], strict=True) for kind in ("codes", "augmented")
    )


def test_a_decoder_without_sound_for_a_batch_is_told_how_to_get_it(tmp_path: Path) -> None:
    unknown = codec_training.Heard(np.zeros(64_000, np.int16), np.zeros(200, np.int64), np.full(200, IGNORE))
    for rows in (0, 12):
        schedule = codec_training.Schedule(1, rows=rows)
        with pytest.raises(UserError, match=r"training\.synthesise --known"):
            codec_training.train_decoder(tmp_path, [unknown] * 20, schedule, seed=0, device="cpu")
    with pytest.raises(UserError, match=r"There is no .*codes\.parquet"):
        codec_training.read_heard(tmp_path)
