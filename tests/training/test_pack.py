"""Examples are drawn, masked and packed as the recipe says."""

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from stsmt.checkpoint import read_prompt
from stsmt.example import Mode, Task
from stsmt.prompt import PromptFormat
from tests.tiny import CODEBOOK_SIZE, prompt_data, tiny_lm, tiny_tokenizer
from tests.training.corpus import make_rows
from training.guide import PhoneGuide, PhoneLabels
from training.pack import IGNORE, ByTemplate, Item, Mixture, Packed, Packer, PairSource, make_example, mishear
from training.sft import SpeechLM, weighted_loss
from training.voices import VOICES


@pytest.fixture(scope="module")
def prompt(tiny_checkpoint: Path) -> PromptFormat:
    return PromptFormat(read_prompt(tiny_checkpoint), tiny_tokenizer(), CODEBOOK_SIZE)


def packer(prompt: PromptFormat, rows: int = 1, length: int = 512) -> Packer:
    return Packer(prompt, rows=rows, length=length, separators=2, speech_weight=0.5)


def test_packed_examples_have_the_same_loss_as_separate_ones(prompt: PromptFormat) -> None:
    source = PairSource(make_rows(), seed=0)
    drawn = [prompt.render(source.draw(task)) for task in ("stt", "tts", "mt")]
    items = [Item(rendered.ids, rendered.loss_mask) for rendered in drawn]
    model = SpeechLM(tiny_lm(len(tiny_tokenizer())), prompt.speech_offset, [4, 4, 4])
    together = Packed(*(t[None] for t in packer(prompt).lay_out(items)))
    packed, _ = model(together)
    separate = [model(Packed(*(t[None] for t in packer(prompt).lay_out([item]))))[0] for item in items]
    assert torch.allclose(packed, torch.cat(separate), atol=1e-4)


def test_the_loss_covers_answers_only_and_speech_counts_less(prompt: PromptFormat) -> None:
    rendered = prompt.render(PairSource(make_rows(), seed=1).draw("chain"))
    ids, _, _, labels, weights = packer(prompt).lay_out([Item(rendered.ids, rendered.loss_mask)])
    answered = labels != IGNORE
    assert int(answered.sum()) == sum(rendered.loss_mask)
    assert torch.equal(labels[answered], torch.tensor(rendered.ids)[torch.tensor(rendered.loss_mask) == 1])
    is_speech = torch.isin(labels, torch.tensor(list(prompt.speech_ids)))
    assert set(weights[is_speech].tolist()) == {0.5}
    assert set(weights[answered & ~is_speech].tolist()) == {1.0}
    assert weights[~answered].sum() == 0


def test_an_example_that_does_not_fit_is_never_cut(prompt: PromptFormat) -> None:
    batch = packer(prompt, rows=4, length=256).batch(PairSource(make_rows(), seed=2), Mixture(stt=1, chain=1))
    ends = batch.ids == prompt.end_of_turn
    openings = batch.ids == prompt.render_prompt(PairSource(make_rows(), 0).draw("stt"))[0]
    assert torch.equal(ends.sum(1), 3 * openings.sum(1))  # system, user and answer turns of every example are whole


def test_batches_are_the_same_for_the_same_seed(prompt: PromptFormat) -> None:
    mixture = Mixture(stt=1, tts=1, mt=1, chain=1, direct=1, raw=1)
    one, two = (packer(prompt, rows=2).batch(PairSource(make_rows(), seed=3), mixture) for _ in range(2))
    assert torch.equal(one.ids, two.ids)


def test_a_listening_only_voice_is_never_a_target() -> None:
    source, target = make_rows()[:2]
    example = make_example("chain", source, {**target, "voice": "espeak-en"}, random.Random(0))
    assert example.task is Task.STT


def test_augmented_sound_is_only_ever_a_source(prompt: PromptFormat) -> None:
    rows = make_rows()
    clean = {tuple(row["codes"]) for row in rows}
    drawn = [PairSource(rows, seed).draw("chain") for seed in range(40)]
    assert all(example.target_codes in clean for example in drawn)
    assert any(example.source_codes not in clean for example in drawn)


def test_folding_the_shared_part_changes_nothing(prompt: PromptFormat) -> None:
    model = SpeechLM(tiny_lm(len(tiny_tokenizer())), prompt.speech_offset, [4, 4, 4])
    before = model.table().detach().clone()
    model.fold()
    assert torch.allclose(model.model.get_input_embeddings().weight, before)
    assert torch.allclose(model.table(), before)


def test_a_few_steps_lower_the_loss(prompt: PromptFormat) -> None:
    from training.sft import Optimisers

    torch.manual_seed(0)
    model = SpeechLM(tiny_lm(len(tiny_tokenizer())), prompt.speech_offset, [4, 4, 4])
    optimisers = Optimisers(model.named_parameters())
    batch = packer(prompt, rows=2).batch(PairSource(make_rows(), seed=4), Mixture(stt=1, mt=1))
    losses = []
    for _ in range(8):
        logits, wanted = model(batch)
        loss, _ = weighted_loss(logits, wanted, batch, prompt.speech_ids)
        losses.append(loss.item())
        optimisers.step(loss, 1.0)
    assert losses[-1] < 0.8 * losses[0]


def test_what_is_spoken_is_told_its_phones_one_ahead(prompt: PromptFormat) -> None:
    example = PairSource(make_rows(), seed=7).draw("chain")
    language = example.target_language
    names = [f"{language}:a", f"{language}:i", f"{language}:u", "sil"]
    assert example.target_cues == tuple(zip([0, 2, 5, 8], names, strict=True))
    assert prompt.parse(prompt.render(example).ids).target_cues == example.target_cues


def test_phones_are_heard_before_words_and_before_a_direct_answer() -> None:
    tokenizer = tiny_tokenizer()
    hearing = PromptFormat(prompt_data(hearing=True), tokenizer, CODEBOOK_SIZE)
    for task in ("stt", "chain", "direct", "plan"):
        example = PairSource(make_rows(), seed=7).draw(task)
        phones = tuple(f"{example.source_language}:{phone}" for phone in "aiu")
        assert example.source_phones == phones
        item = packer(hearing).render(example)
        assert item.ids[item.mask.index(1)] == hearing.transcript_marker(example.source_language)
        if task != "plan":  # cut before its speech
            assert hearing.parse(item.ids).source_phones == phones


def test_spelling_starts_from_phones_that_are_given_and_learns_all_that_follows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("training.pack.voices", lambda language, _: [VOICES["mei" if language == "ja" else "slt"]])
    hearing = PromptFormat(prompt_data(hearing=True), tiny_tokenizer(), CODEBOOK_SIZE)
    silent = [{k: v for k, v in row.items() if k not in ("codes", "cues", "voice")} for row in make_rows(2)]
    source, seen = PairSource(make_rows(), seed=0, silent=silent), set()
    for _ in range(60):
        example = source.draw("spell")
        item, seen = packer(hearing).render(example), seen | {(example.task, example.mode)}
        assert not set(item.ids[:-1]) & set(hearing.speech_ids)
        answer = [token for token, wanted in zip(item.ids, item.mask, strict=True) if wanted]
        if example.task is Task.STT:
            assert answer == [*hearing.encode_text(example.source_text), hearing.end_of_turn]
        elif example.mode is Mode.CHAIN and example.task is Task.STS:
            words = hearing.encode_text(example.source_text)
            assert answer[: len(words)] == words and len(answer) > len(words) + 2 + len(example.target_cues)
        else:  # the reading alone; without a hearing before it, with its opening
            assert len(answer) == len(example.target_cues) + (example.task is Task.TTS)
    assert seen == {(Task.STT, Mode.CHAIN), (Task.TTS, Mode.CHAIN), (Task.STS, Mode.CHAIN), (Task.STS, Mode.DIRECT)}


def test_some_phones_are_misheard_and_never_all_of_them() -> None:
    phones = tuple(f"en:{phone}" for phone in "aiu" * 10)
    heard = [mishear(phones, random.Random(seed)) for seed in range(40)]
    assert any(one == phones for one in heard) and any(one != phones for one in heard)
    assert all(len(phones) - 8 < len(one) <= len(phones) and set(one) <= set(phones) for one in heard)
    assert mishear(("en:a",), random.Random(0))


def test_what_has_no_cues_is_never_a_target() -> None:
    source, target = make_rows()[:2]
    assert make_example("chain", source, {**target, "cues": None}, random.Random(0)).task is Task.STT


def test_answers_are_spoken_by_what_has_cues_and_planned_by_everything() -> None:
    rows = [row | {"cues": None} if row["phrase"] in ("p2", "p5") else row for row in make_rows()]
    source, spared = PairSource(rows, seed=0), {tuple(row["codes"]) for row in rows if not row["cues"]}
    drawn = {task: [source.draw(task) for _ in range(60)] for task in ("chain", "tts", "plan", "stt")}
    assert all(example.task is not Task.STT for task in ("chain", "tts", "plan") for example in drawn[task])
    assert all(example.target_codes not in spared for task in ("chain", "tts") for example in drawn[task])
    places = [{place for place, _ in example.target_cues} for example in drawn["plan"]]
    assert {0} in places and {0, 2, 5, 8} in places


def test_a_blended_mixture_lies_between() -> None:
    assert replace(Mixture(stt=2)).blend(Mixture(chain=4), 0.25) == Mixture(stt=1.5, chain=1.0)


def test_the_guide_knows_the_phones_of_all_speech_that_is_heard(prompt: PromptFormat) -> None:
    rows = make_rows()
    labels = PhoneLabels(rows)
    batch = Packer(prompt, rows=2, length=256, separators=2, speech_weight=0.5, phones=labels).batch(
        PairSource(rows, seed=4), Mixture(chain=1, stt=1)
    )
    assert {span.row for span in batch.spans} == {0, 1}
    for span in batch.spans:
        language = labels.names[span.labels[0]][:2]
        assert [labels.names[i] for i in span.labels] == [f"{language}:{phone}" for phone in "aiu"]
        speech = batch.ids[span.row, span.start : span.stop]
        assert all(int(token) in prompt.speech_ids for token in speech)
        assert int(batch.ids[span.row, span.stop]) not in prompt.speech_ids


def test_the_guide_teaches_the_layers_below_it_alone(prompt: PromptFormat) -> None:
    model, rows = SpeechLM(tiny_lm(len(tiny_tokenizer())), prompt.speech_offset, [4, 4, 4]), make_rows()
    layers = model.model.model.layers
    guide = PhoneGuide(layers[0], model.model.config.hidden_size, 4)
    made = Packer(prompt, rows=1, length=256, separators=2, speech_weight=0.5, phones=PhoneLabels(rows))
    batch = made.batch(PairSource(rows, seed=5), Mixture(stt=1))
    model(batch)
    guide.loss(batch.spans).backward()
    reached = [any(p.grad is not None and p.grad.abs().sum() > 0 for p in layer.parameters()) for layer in layers]
    assert reached == [True] + [False] * (len(layers) - 1)
    model.zero_grad()
    guide.alone = True
    model(batch)
    guide.loss(batch.spans).backward()
    assert all(p.grad is None for p in model.parameters()) and guide.head.weight.grad is not None


@pytest.mark.parametrize("mixture", [Mixture(chain=1, tts=1), Mixture(stt=1, mt=1, plan=1)])
def test_forgetting_hides_codes_or_words_of_answers_and_changes_no_label(
    prompt: PromptFormat, mixture: Mixture
) -> None:
    def batch(forgetting: random.Random | None) -> Packed:
        made = Packer(prompt, rows=4, length=256, separators=2, speech_weight=0.5, forgetting=forgetting)
        return made.batch(PairSource(make_rows(), seed=6), mixture)

    whole, partly = batch(None), batch(random.Random(0))
    assert torch.equal(whole.ids, partly.ids) and torch.equal(whole.labels, partly.labels)
    hidden = (whole.keep == 1) & (partly.keep == 0)
    assert hidden.any()
    answered = torch.roll(whole.labels, 1, dims=1)  # labels stand one place before what they predict
    assert torch.equal(whole.ids[hidden], answered[hidden])
    assert all((int(token) in prompt.speech_ids) == bool(mixture.chain) for token in whole.ids[hidden])
    assert not set(whole.ids[hidden].tolist()) & {prompt.end_of_turn, *prompt.marker_ids}


def test_a_large_template_does_not_drown_a_small_one() -> None:
    rng = random.Random(0)
    things = ByTemplate([*(("large", i) for i in range(400)), *(("small", -i) for i in range(1, 5))])
    drawn = [things.draw(rng) for _ in range(2000)]
    assert 0.05 < sum(thing < 0 for thing in drawn) / len(drawn) < 0.14  # 1 : 10 and not 1 : 100
    assert not ByTemplate([])


def test_a_plan_is_direct_translation_up_to_its_speech(prompt: PromptFormat) -> None:
    rows = make_rows(4)
    plan, direct = (PairSource(rows, 0).draw(task) for task in ("plan", "direct"))
    short, whole = packer(prompt).render(plan), packer(prompt).render(direct)
    assert short.ids == whole.ids[: len(short.ids)] and len(short.ids) < len(whole.ids)
    assert not set(short.ids[-4:]) & set(prompt.speech_ids) and sum(short.mask) == 1 + len(direct.target_cues)
    assert prompt.parse(whole.ids).target_codes == direct.target_codes
