"""Train the small `Lfm2ForCausalLM`: `python -m training.sft --work runs/embedded --minutes 60`.

One run goes through continual pre-training on unlabelled speech and text, then multi-task fine-tuning whose mixture
moves from listening (STT) to the whole chain. Rows are packed exactly, the loss covers answers only. Every few
minutes the share of dev sentences whose text is right token by token is printed: slots, not templates, are what is
hard, and the loss alone does not show them. On a CPU, one process per core (`torchrun --nproc-per-node 2 -m
training.sft …`) is about twice as fast as one process with two threads.
"""

import argparse
import copy
import json
import multiprocessing
import os
import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoTokenizer, Lfm2Config, Lfm2ForCausalLM, Xcodec2Config

from stsmt.errors import stated_errors
from stsmt.example import Task
from stsmt.prompt import PromptFormat
from training.augment import CodeJitter
from training.budget import Budget
from training.guide import PhoneGuide, PhoneLabels
from training.loading import stream
from training.optimiser import Optimisers
from training.pack import (
    IGNORE,
    Item,
    Mixture,
    Packed,
    Packer,
    PairSource,
    Utterance,
    in_range,
    read_aligned,
    read_silent,
)
from training.parallel import in_turn, join
from training.phrasebook.grammar import phrases
from training.phrasebook.swaps import SWAPPED
from training.precision import autocast
from training.tokenizer import build_tokenizer, save_tokenizer, upgrade

PRETRAIN = Mixture(raw=1.0, stt=1.0)
LISTEN = Mixture(stt=3.0, mt=3.0, tts=1.5, chain=0.3, spell=2.0)
WHOLE = Mixture(stt=1.5, mt=1.5, tts=1.5, chain=3.0, direct=0.5, plan=1.5, spell=2.0)
# Examples without sound are short and cost little; what is heard is spelled as well as they have been learnt.
SPEAK = Mixture(stt=2.5, mt=2.0, tts=4.0, chain=2.5, direct=0.8, plan=3.5, spell=8.0)
SCHEDULE = ((0.03, PRETRAIN), (0.03, LISTEN), (0.3, LISTEN), (0.42, WHOLE), (0.5, WHOLE), (0.6, SPEAK))
ROWS, LENGTH = 10, 576  # short rows: a dense mask makes attention cost grow with their length
SPEECH_WEIGHT = 0.8  # a speech token's loss against a text token's: there are ten times as many
GUIDE_WEIGHT = 0.5
GUIDE_ALONE = 120  # steps in which the guide of a warm start learns without changing the model
EVALUATE_EVERY = 400  # steps of `ROWS`


def mixture_at(progress: float) -> Mixture:
    """The task mixture at a share of the schedule."""
    for (start, before), (stop, after) in pairwise(((0.0, PRETRAIN), *SCHEDULE)):
        if progress < stop:
            return before.blend(after, (progress - start) / (stop - start))
    return SCHEDULE[-1][1]


def lm_config(vocabulary: int, pad: int, bos: int, eos: int, *, hidden: int, layers: int) -> Lfm2Config:
    """A small LFM2; `conv_dim` and `block_dim` are what vLLM reads."""
    attention = {i for i in range(layers) if i % 2} | {layers - 1}
    return Lfm2Config(
        vocab_size=vocabulary,
        hidden_size=hidden,
        block_dim=hidden,
        conv_dim=hidden,
        intermediate_size=4 * hidden,
        block_ff_dim=4 * hidden,
        block_auto_adjust_ff_dim=False,
        num_hidden_layers=layers,
        num_attention_heads=hidden // 64,
        num_key_value_heads=max(1, hidden // 128),
        layer_types=["full_attention" if i in attention else "conv" for i in range(layers)],
        conv_L_cache=3,
        max_position_embeddings=4096,
        tie_word_embeddings=True,
        pad_token_id=pad,
        bos_token_id=bos,
        eos_token_id=eos,
    )


class SpeechLM(nn.Module):
    """The LM with its speech-token rows written as shared level vectors plus a free rest.

    A code is a tuple of quantiser levels, so E[code] = rest[code] + Σ_k level[k, digit_k(code)]: what is learnt about
    one code helps its neighbours from the first step on. `fold` adds the shared part into the ordinary embedding.
    """

    def __init__(self, model: Lfm2ForCausalLM, offset: int, levels: list[int]) -> None:
        super().__init__()
        self.model, self.offset = model, offset
        size = int(torch.tensor(levels).prod())
        basis = torch.tensor([1, *levels[:-1]]).cumprod(0)
        digits = (torch.arange(size)[:, None] // basis) % torch.tensor(levels)
        hot = torch.cat([F.one_hot(digits[:, k], n) for k, n in enumerate(levels)], 1).float()
        self.register_buffer("digits", hot, persistent=False)
        scale = model.config.initializer_range / len(levels) ** 0.5
        self.shared = nn.Parameter(torch.randn(hot.shape[1], model.config.hidden_size) * scale)

    def table(self) -> Tensor:
        """The embedding matrix [V, D] as it is used."""
        rest = self.model.get_input_embeddings().weight
        speech = self.get_buffer("digits") @ self.shared
        return rest + F.pad(speech, (0, 0, self.offset, len(rest) - self.offset - len(speech)))

    def forward(self, batch: Packed, backbone: Callable[..., Any] | None = None) -> tuple[Tensor, Tensor]:
        """(logits at the labelled positions [N, V], mask [B, T] of those); `backbone` may be a compiled twin."""
        table = self.table()
        embedded = F.embedding(batch.ids, table) * batch.keep[..., None]
        run = self.model.model if backbone is None else backbone
        outputs = run(inputs_embeds=embedded, position_ids=batch.positions, use_cache=False)
        wanted = batch.labels != IGNORE
        return outputs.last_hidden_state[wanted] @ table.T.to(outputs.last_hidden_state.dtype), wanted

    @torch.no_grad()
    def fold(self) -> None:
        """Make the shared part an ordinary part of the embedding."""
        self.model.get_input_embeddings().weight.copy_(self.table())
        self.shared.zero_()


def weighted_loss(logits: Tensor, wanted: Tensor, batch: Packed, speech: range) -> tuple[Tensor, dict[str, Tensor]]:
    """(weighted mean cross-entropy over answer tokens, its plain means over text, speech and cues: NaN without)."""
    labels, weights = batch.labels[wanted], batch.weights[wanted]
    losses = F.cross_entropy(logits.float(), labels, reduction="none")
    kinds = {"text": labels < speech.start, "speech": in_range(labels, speech), "cues": labels >= speech.stop}
    means = {kind: losses.detach().where(chosen, torch.nan).nanmean() for kind, chosen in kinds.items()}
    return (losses * weights).sum() / weights.sum(), means


@torch.inference_mode()
def held_out_loss(model: SpeechLM, packer: Packer, rows: list[Utterance], count: int, device: str) -> dict[str, float]:
    """Mean losses of spoken answers on dev sentences, per language: what is learnt by heart does not help here."""
    source, found = PairSource(rows, 0), dict[str, list[float]]()
    model.eval()
    for task in ("tts", "plan") * count:
        example = source.draw(task)
        if example.task is Task.STT:  # no target voice
            continue
        item = packer.render(example)
        tensors = packer.lay_out([item])
        batch = Packed(*(t[: len(item.ids)][None] for t in tensors)).to(device)
        logits, wanted = model(batch)
        for kind, value in weighted_loss(logits, wanted, batch, packer.prompt.speech_ids)[1].items():
            if kind != "text" and not value.isnan():
                found.setdefault(f"{task}.{kind}.{example.target_language}", []).append(float(value))
    model.train()
    return {name: round(sum(values) / len(values), 3) for name, values in sorted(found.items())}


def exact_text(
    model: SpeechLM, prompt: PromptFormat, rows: list[Utterance], task: str, count: int, device: str
) -> dict[str, float]:
    """Share of dev examples per source language whose text or reading is all most likely (teacher-forced)."""
    right: dict[str, list[bool]] = {"ja": [], "en": []}
    source, packer = PairSource(rows, 0), Packer(prompt, rows=1, length=LENGTH, separators=2, speech_weight=1.0)
    model.eval()
    while min(len(found) for found in right.values()) < count:
        example = source.draw(task)
        if task == "plan" and example.task is Task.STT:  # no target voice
            continue
        rendered = prompt.render(example)
        tensors = packer.lay_out([Item(rendered.ids, rendered.loss_mask)])
        size = len(rendered.ids)
        batch = Packed(*(t[:size][None] for t in tensors)).to(device)
        with torch.inference_mode():
            logits, wanted = model(batch)
        labels = batch.labels[wanted]
        text = ~in_range(labels, prompt.speech_ids) & (labels > max(prompt.marker_ids))
        right[example.source_language].append(bool((logits.argmax(-1) == labels)[text].all()))
    model.train()
    return {f"{task}.{language}": sum(found) / len(found) for language, found in right.items()}


def dev_numbers(model: SpeechLM, packer: Packer, rows: list[Utterance], device: str) -> dict[str, float]:
    """How well dev sentences are known: texts and plans all right by task, losses of spoken answers."""
    found = held_out_loss(model, packer, rows, 64, device)
    for task in ("stt", "mt", "plan"):
        found |= exact_text(model, packer.prompt, rows, task, 32, device)
    return found


def prepare(work: Path, *, hidden: int, layers: int, seed: int) -> tuple[SpeechLM, PromptFormat]:
    """A fresh model with tokenizer and prompt in `work/lm` (or, if that exists, the one in it: the warm start)."""
    folder, codec = work / "lm", Xcodec2Config.from_pretrained(work / "codec")
    levels = list(codec.quantization_levels)
    size = int(torch.tensor(levels).prod())
    if not (folder / "tokenizer.json").exists():
        train = [phrase for phrase in phrases(seed, per_template=100) if phrase.split == "train"]
        texts = [text for phrase in train for text in (phrase.ja, phrase.en)]
        save_tokenizer(build_tokenizer(texts, size), folder)
    upgrade(folder, size)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    prompt = PromptFormat.load(folder, tokenizer, size)
    torch.manual_seed(seed)
    if (folder / "model.safetensors").exists():
        known = Lfm2ForCausalLM.from_pretrained(folder, dtype=torch.float32)
        known.resize_token_embeddings(len(tokenizer))
        warm = SpeechLM(known, prompt.speech_offset, levels)
        nn.init.zeros_(warm.shared)  # it was folded into the rows when they were saved
        return warm, prompt
    ids = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
    model = Lfm2ForCausalLM(lm_config(len(tokenizer), *ids, hidden=hidden, layers=layers))
    return SpeechLM(model, prompt.speech_offset, levels), prompt


def compile_backbone(model: nn.Module, device: str) -> Any:
    """A compiled twin for training, whose batches have one shape; `model` itself stays as it is, for evaluation.

    On a GPU it is compiled layer by layer: most layers are alike, and minutes are dear there.
    """
    if device == "cpu":
        return torch.compile(model)
    twin = copy.copy(model)
    layers = nn.ModuleList()
    for layer in model.get_submodule("layers").children():
        layers.append(torch.compile(layer, dynamic=False))  # type: ignore[arg-type]
    twin._modules = model._modules | {"layers": layers}
    return twin


@dataclass(frozen=True)
class Schedule:
    """`minutes` of training over the mixture's schedule from the share `skip` on.

    `again` starts a new schedule from the last checkpoint, at `peak` of the learning rate.
    """

    minutes: float
    skip: float = 0.0
    again: bool = False
    peak: float = 1.0


def train(work: Path, schedule: Schedule, *, device: str, seed: int, hidden: int, layers: int, rows: int) -> None:
    """Train on batches of `rows` rows as long as `schedule` says, and write `work/lm`."""
    rank, warm = join(device), (work / "lm" / "model.safetensors").exists()
    model, prompt = in_turn(lambda: prepare(work, hidden=hidden, layers=layers, seed=seed))
    heard, dev = read_aligned(work, "train") + read_aligned(work, SWAPPED), read_aligned(work, "dev")
    labels = PhoneLabels(heard)
    backbone = compile_backbone(model.model.model, device)
    listening = backbone.layers[model.model.config.num_hidden_layers // 2 - 1]
    guide = PhoneGuide(listening, model.model.config.hidden_size, len(labels.names)).to(device)
    model.to(device).train()
    optimisers = Optimisers([*model.named_parameters(), *guide.named_parameters("guide")])
    state = {"model": model, "guide": guide, "optimisers": optimisers}
    minutes, again, peak = schedule.minutes, schedule.again, schedule.peak
    budget = Budget(work / "lm.pt", minutes=minutes, state=state, name="lm", again=again, peak=peak, rank=rank)
    texts = [phrase for phrase in phrases(seed) if phrase.split == "train"]
    jitter = CodeJitter(Xcodec2Config.from_pretrained(work / "codec").quantization_levels)
    drawn = seed + budget.step + 10**6 * rank
    source = PairSource(heard, drawn, texts, jitter, read_silent(work))
    separators = model.model.config.conv_L_cache - 1
    sizes: dict[str, Any] = {"rows": rows, "length": LENGTH, "separators": separators, "speech_weight": SPEECH_WEIGHT}
    progress = multiprocessing.Value("d", budget.progress)  # seen by the processes that draw

    def draw_in(number: int) -> Callable[[], Packed]:
        own = drawn + 10**7 * number
        packer, examples = Packer(prompt, **sizes, phones=labels, forgetting=random.Random(own)), source.reseed(own)
        return lambda: packer.batch(examples, mixture_at(schedule.skip + (1 - schedule.skip) * progress.value))

    batches = stream(draw_in, 0 if device == "cpu" else max(1, (os.cpu_count() or 1) - 2))
    log = (work / "lm.log").open("a", encoding="utf-8")
    for step in budget.steps():
        guide.alone, progress.value = warm and step < GUIDE_ALONE, budget.progress
        batch = next(batches).to(device)
        with autocast(device):
            logits, wanted = model(batch, backbone)
            guided = guide.loss(batch.spans)
        loss, means = weighted_loss(logits, wanted, batch, prompt.speech_ids)
        optimisers.step(loss + GUIDE_WEIGHT * guided, budget.rate)
        budget.report(**means, phones=guided)
        if step % (EVALUATE_EVERY * rows // ROWS) == 0 and step and not rank:
            line = {"step": step, "minutes": round(budget.seconds / 60, 1)} | budget.log
            log.write(json.dumps(line | dev_numbers(model, Packer(prompt, **sizes), dev, device)) + "\n")
            log.flush()
    if not rank:
        save(model, work)


def save(model: SpeechLM, work: Path) -> None:
    """Fold, round to bfloat16 and write `work/lm`."""
    model.cpu().fold()
    model.model.to(torch.bfloat16).save_pretrained(work / "lm")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"))
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--hidden", type=int, default=256)
    parser.add_argument("--layers", type=int, default=8)
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows of {LENGTH} tokens in a batch; more on a GPU")
    parser.add_argument("--skip", type=float, default=0.0, help="share of the schedule that a warm start leaves out")
    parser.add_argument("--again", action="store_true", help="a new schedule of --minutes from the last checkpoint")
    parser.add_argument("--peak", type=float, default=1.0, help="of the learning rate; about 0.5 with --again")
    a = parser.parse_args()
    random.seed(a.seed)
    with stated_errors():
        sizes = {"hidden": a.hidden, "layers": a.layers, "rows": a.rows}
        train(a.work, Schedule(a.minutes, a.skip, a.again, a.peak), device=a.device, seed=a.seed, **sizes)


if __name__ == "__main__":
    main()
