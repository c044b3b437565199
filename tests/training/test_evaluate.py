"""Evaluation, from the plan to the README, with a tiny random checkpoint, a fake voice and a fake judge."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stsmt.audio import Audio
from stsmt.errors import UserError
from stsmt.example import Example, Language, Mode, Task
from stsmt.lm import Sampling, Token
from stsmt.prompt import PromptFormat
from stsmt.translator import Translator
from tests.tiny import CODEBOOK_SIZE, prompt_data, tiny_tokenizer
from training import evaluate, workers
from training.evaluate import (
    MAIN,
    SETS,
    claim,
    examples,
    fingerprint,
    main,
    measure_and_write,
    plan,
    read_records,
    read_sets,
    run,
    spread,
)
from training.measure import PARTS, Bench, HeldOutSet, Item, goes_on, measure
from training.phrasebook.grammar import Phrase
from training.summary import MEASURES, count_requests, summarise, summarise_voices

WORDS = {"ja": "エキワドコデスカ", "en": "where is the station"}


def phrase(number: int, template: str = "station", split: str = "test") -> Phrase:
    return Phrase(
        f"{template}-{number:03}", template, "directions", f"駅は{number}番ですか。", f"Is it {number}?", split
    )


PHRASES = [
    *(phrase(number, template) for template in ("station", "price") for number in range(6)),
    *(phrase(number, "new", "unseen_template") for number in range(3)),
    phrase(99, "known", "train"),
]


def voices(language: Language, role: str) -> list[str]:
    known = {"ja": ["mei", "mei-low"], "en": ["slt", "awb"]}[language]
    return known if role == "target" else [f"stranger-{language}"]


def speak(text: str, language: Language, voice: str) -> Audio:
    """A second of buzz whose pitch follows the text."""
    t = np.arange(16000) / 16000
    return Audio((0.3 * np.sin(2 * np.pi * (100 + len(text)) * t)).astype(np.float32), 16000)


class ListeningJudge:
    """Always understands the same."""

    def transcribe(self, audios: Sequence[Audio], language: Language) -> list[str]:
        return [WORDS[language] for _ in audios]


def reading(text: str, language: Language) -> str:
    return WORDS[language]


@pytest.fixture(scope="module")
def bench(tiny_checkpoint: Path) -> Bench:
    return Bench(Translator.load(tiny_checkpoint), ListeningJudge(), speak, reading)


def items(n: int = 2, names: Sequence[str] = ("unseen_sentence",)) -> list[Item]:
    return plan([(SETS[name], n) for name in names], PHRASES, voices, 0)


# -- the plan --------------------------------------------------------------------------------------------------------


def test_no_training_phrase_is_ever_measured() -> None:
    planned = items(100, MAIN)
    assert {item.phrase.split for item in planned} == {"test", "unseen_template"}
    assert all(item.phrase.split == item.held_out.split for item in planned)
    assert len({item.key for item in planned}) == len(planned) == 2 * (12 + 12 + 3)


def test_templates_take_turns_and_a_longer_plan_begins_with_the_shorter() -> None:
    ordered = spread(PHRASES[:12], seed=4)
    assert {p.template for p in ordered[:2]} == {"station", "price"}
    assert sorted(p.id for p in ordered) == sorted(p.id for p in PHRASES[:12])
    assert [i.key for i in items(5)][:4] == [i.key for i in items(2)]
    assert items(5)[:4] == items(2)


def test_voices_take_turns_and_strangers_speak_the_unseen_voice_set() -> None:
    assert [item.voice for item in items(3) if item.language == "ja"] == ["mei", "mei-low", "mei"]
    assert {item.voice for item in items(2, ["unseen_voice"])} == {"stranger-ja", "stranger-en"}


def test_phrases_that_training_has_met_are_left_out_and_nothing_else_changes() -> None:
    met = items(5)[2].phrase.id
    left = plan([(SETS["unseen_sentence"], 5)], PHRASES, voices, 0, without=(met,))
    assert left == [item for item in items(5) if item.phrase.id != met] and len(left) == 8


def test_a_set_without_phrases_is_refused() -> None:
    with pytest.raises(UserError, match="unseen_template"):
        plan([(SETS["unseen_template"], 2)], PHRASES[:3], voices, 0)


def test_sets_may_be_measured_by_different_numbers() -> None:
    chosen = read_sets(["unseen_sentence", "unseen_voice:3"], 5)
    planned = [item.held_out.name for item in plan(chosen, PHRASES, voices, 0)]
    assert planned.count("unseen_sentence") == 2 * 5 and planned.count("unseen_voice") == 2 * 3
    for wrong in ("unseen", "unseen_voice:x"):
        with pytest.raises(UserError, match="There is no set"):
            read_sets([wrong], 5)


# -- one utterance ---------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def record(bench: Bench) -> dict[str, Any]:
    spoken = next(item for item in items(1) if item.language == "en")  # what the random model takes all speech for
    return measure(bench, spoken)


def test_every_part_is_measured_and_is_plain_data(record: dict[str, Any]) -> None:
    assert set(record["parts"]) == set(PARTS)
    assert not [part for part in record["parts"].values() if "error" in part]
    assert json.loads(json.dumps(record)) == record
    codec = record["parts"]["codec"]
    assert record["parts"]["judge"] == {"heard": WORDS["en"]} and codec["heard"] == WORDS["en"]
    assert len(codec["codes"]) == pytest.approx(50 * record["source_seconds"], abs=2) and codec["mel_distance"] > 0
    assert record["parts"]["chain"]["heard"] == WORDS["ja"]
    assert record["parts"]["tts"]["heard"] == WORDS["en"]
    assert set(record["parts"]["routing"]["routed"]) == {"STT", "STS.chain", "STS.direct", "MT", "TTS"}


@pytest.mark.parametrize("ends", [True, False])
@pytest.mark.parametrize("wordy", [True, False])
def test_after_what_it_hears_the_field_that_was_asked_for_comes(wordy: bool, ends: bool) -> None:
    prompt = PromptFormat(prompt_data(hearing=True), tiny_tokenizer(), CODEBOOK_SIZE)

    class Hearing:
        """Hears one phone, then knows what comes next."""

        def generate(self, ids: list[int], sampling: Sampling) -> list[Token]:
            assert ids[-1] == prompt.transcript_marker("en")
            return [Token(sampling.allowed[0][0], 0.0), *([Token(sampling.stop, 0.0)] if ends else [])]

        def next_log_probabilities(self, ids: list[int], candidates: list[int]) -> list[float]:
            likely = prompt.encode_text("t")[0] if wordy else prompt.cue_ids[0][1]
            return [0.0 if id == likely else -99.0 for id in candidates]

    for example, asks_words in (
        (Example(Task.STT, "en", "en", source_codes=(1, 2)), True),
        (Example(Task.STS, "en", "ja", Mode.CHAIN, source_codes=(1, 2)), True),
        (Example(Task.STS, "en", "ja", Mode.DIRECT, source_codes=(1, 2)), False),
    ):
        lm: Any = Hearing()
        assert goes_on(lm, prompt, example) == (ends and wordy == asks_words)


def test_a_failing_part_is_kept_as_a_wrong_answer(bench: Bench) -> None:
    def broken(audio: Audio, seed: int) -> Audio:
        return Audio(np.zeros(16000, np.float32), 16000)  # silence: the translator refuses it

    item = items(1)[0]
    silent = HeldOutSet("silent", "test", "target", ("stt", "chain", "mt"), broken)
    record = measure(bench, Item(silent, item.language, item.phrase, item.voice, 0))
    assert "silent" in record["parts"]["stt"]["error"] and "error" not in record["parts"]["mt"]
    rows = {row["measure"]: row["value"] for row in summarise([record])}
    assert rows["stt.transcript.error"] == 100
    assert rows["stt.failures"] == 100 and rows["stt.end_reached"] == 0 and rows["mt.failures"] == 0
    assert rows["chain.heard.chrf"] == 0
    assert rows["all.failures"] == pytest.approx(200 / 3, abs=0.001)


# -- rows ------------------------------------------------------------------------------------------------------------


def made(key: str, language: str, parts: dict[str, Any]) -> dict[str, Any]:
    target = "en" if language == "ja" else "ja"
    texts = {"ja": "駅はどこですか。", "en": "Where is the station?"}
    return {
        "key": key, "set": "unseen_sentence", "language": language, "target": target, "voice": "v",
        "source_text": texts[language], "target_text": texts[target],
        "source_reading": WORDS[language], "target_reading": WORDS[target], "parts": parts,
    }  # fmt: skip


def test_rows_score_what_they_say() -> None:
    right = {"transcript": "駅はどこですか", "translation": "Where is the station?", "heard": WORDS["en"]}
    wrong = {"transcript": "駅はここですか", "translation": "where is a station", "heard": "where is the stations"}
    healthy = {"loop": False, "cap_hit": False, "end_reached": True, "retries": 0}
    timing = {"real_time_factor": 0.5}
    records = [
        made("a", "ja", {"chain": {**right, "health": healthy, "timing": timing}}),
        made("b", "ja", {"chain": {**wrong, "health": {**healthy, "loop": True, "retries": 2}, "timing": timing}}),
    ]
    rows = {row["measure"]: row for row in summarise(records)}
    assert rows["chain.transcript.error"]["value"] == pytest.approx(100 / 14, abs=0.001)
    assert rows["chain.transcript.error"]["label"].endswith("CER") and rows["chain.transcript.error"]["subject"] == "ja"
    assert rows["chain.transcript.exact"]["value"] == rows["chain.translation.exact"]["value"] == 50
    assert rows["chain.heard.error"]["value"] == pytest.approx(12.5) and "WER" in rows["chain.heard.error"]["label"]
    assert rows["chain.heard.bleu"]["subject"] == "ja-en"
    assert rows["chain.loops"]["value"] == rows["all.retried"]["value"] == 50
    assert rows["chain.rtf"]["value"] == 0.5
    assert "stt.transcript.error" not in rows, "what was not measured has no row"


def test_japanese_speech_has_no_bleu() -> None:
    rows = {row["measure"] for row in summarise([made("a", "en", {"chain": {"heard": WORDS["ja"]}})])}
    assert "chain.heard.chrf" in rows and "chain.heard.bleu" not in rows


def test_requests_are_counted_over_all_parts() -> None:
    fine = {"loop": False, "cap_hit": False, "end_reached": True}
    cut = {"loop": True, "cap_hit": True, "end_reached": False}
    routing = {"routed": {"stt": True, "chain": False}}
    parts = {"stt": {"health": fine}, "chain": {"health": cut}, "codec": {"heard": ""}, "routing": routing}
    found = count_requests([made("a", "ja", parts), made("b", "en", {"stt": {"health": fine}})])
    assert found == {"generated": 3, "loops": 1, "caps": 1, "endless": 1, "asked": 2, "routed": 1}


def test_every_voice_is_summed_up_by_itself() -> None:
    clear, unclear = ({"tts": {"heard": heard}} for heard in ("where is the station", "where is a"))
    records = [made("a", "en", clear) | {"voice": "slt"}, made("b", "en", unclear) | {"voice": "awb"}]
    assert {(row["voice"], row["measure"], row["value"], row["n"]) for row in summarise_voices(records)} == {
        ("slt", "tts.heard.error", 0.0, 1),
        ("awb", "tts.heard.error", 50.0, 1),
    }


def test_measures_have_distinct_keys() -> None:
    keys = [measure.key for measure in MEASURES]
    assert len(set(keys)) == len(keys)


# -- the run ---------------------------------------------------------------------------------------------------------


def options(out: Path, model: Path, **changes: Any) -> Any:
    readme = out.parent / "README.md"
    readme.write_text("before\n<!-- numbers -->\nold\n<!-- /numbers -->\nafter\n", encoding="utf-8")
    given = {"model": model, "judge": out / "none", "n": 2, "out": out, "seed": 0, "readme": readme, "minutes": None}
    given |= {"sets": MAIN, "robustness": None, "without": (), "processes": 1, "at_once": 1}
    return SimpleNamespace(**(given | changes))


def test_a_whole_run_writes_all_reports(bench: Bench, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out = tmp_path / "report"
    chosen = items(2, ["unseen_sentence", "unseen_voice"])
    found = measure_and_write(bench, chosen, options(out, tiny_checkpoint))
    assert found["utterances"] == {"planned": 8, "measured": 8}
    assert json.loads((out / "report.json").read_text(encoding="utf-8")) == found
    assert {row["set"] for row in found["rows"]} == {"unseen_sentence", "unseen_voice"}
    assert all(row["low"] <= row["high"] and row["n"] for row in found["rows"])
    page = (out / "report.md").read_text(encoding="utf-8")
    assert "## Voices" in page and "| unseen sentence | mei (ja) |" in page
    assert "## unseen voice" in page and "not complete" not in page
    assert "Is it " in page and "駅は" in page
    for name in ("errors", "chrf", "exact", "reliability"):
        assert (out / f"{name}.png").read_bytes().startswith(b"\x89PNG") and f"({name}.png)" in page
    readme = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert readme.startswith("before\n") and readme.endswith("\nafter\n") and "old" not in readme
    assert "| STT: CER ja / WER en |" in readme and "| unseen sentence (n = 2) | unseen voice (n = 2) |" in readme
    assert "<sub>" in readme, "every number has its interval"


def test_spoiled_recordings_are_one_table(bench: Bench, tiny_checkpoint: Path, tmp_path: Path) -> None:
    out, names = tmp_path / "report", ("noise at 5 dB", "clipped")
    measure_and_write(bench, items(1, ["unseen_sentence", *names]), options(out, tiny_checkpoint))
    page = (out / "report.md").read_text(encoding="utf-8")
    table = page.partition("## Spoiled recordings")[2].partition("##")[0].splitlines()
    lines = {
        line.split("|")[1].strip(): line.count("n 1)") for line in table if line.startswith("|") and "n 1)" in line
    }
    assert lines == dict.fromkeys(names, 6), "three numbers in both languages"
    assert not any(f"## {name}" in page for name in names)
    assert (out / "robustness.png").exists()


def test_a_run_goes_on_where_it_stopped(bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = items(2)
    assert run(bench, chosen, tmp_path, minutes=0) == []
    first = run(bench, chosen[:3], tmp_path)
    with (tmp_path / evaluate.ITEMS_FILE).open("a", encoding="utf-8") as file:
        file.write('{"key": "cut of')
    calls = []
    monkeypatch.setattr(workers, "measure", lambda bench, item: calls.append(item.key) or {"key": item.key})
    records = run(bench, chosen, tmp_path)
    assert calls == [chosen[3].key], "only what is missing"
    assert records[:3] == first
    assert list(read_records(tmp_path / evaluate.ITEMS_FILE)) == [item.key for item in chosen]


def test_utterances_measured_at_once_are_heard_as_alone_but_not_timed(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluate, "TIMED", 1)
    chosen = items(3)
    (tmp_path / "alone").mkdir(), (tmp_path / "together").mkdir()
    alone = run(bench, chosen, tmp_path / "alone")
    together = run(bench, chosen, tmp_path / "together", at_once=3)
    assert [record["key"] for record in together] == [item.key for item in chosen]
    assert [record.get("at_once", 1) for record in together] == [1, 1, 3, 3, 3, 3]
    same = ("source_reading", "judge", "codec", "routing")
    assert [[r["parts"].get(name) for name in same] for r in together] == [
        [r["parts"].get(name) for name in same] for r in alone
    ]
    counts = {row["n"] for row in summarise(together) if row["measure"] == "chain.rtf"}
    assert counts == {1}, "who waits for others has no speed of its own"


def test_no_process_and_nothing_at_once_are_refused() -> None:
    for counts in ({"processes": 0, "at_once": 1}, {"processes": 1, "at_once": 0}):
        with pytest.raises(UserError, match="at least 1"):
            workers.check_counts(SimpleNamespace(**counts))


def killed(options: object) -> tuple[Bench, list[Item]]:
    os._exit(9)


def test_a_process_that_is_killed_is_not_waited_for(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "POLL_SECONDS", 0.1)
    found = workers.measure_all(bench, items(1), killed, SimpleNamespace(processes=2), 1)
    with pytest.raises(UserError, match="was killed"):
        list(found)


def test_records_may_hold_any_character(tmp_path: Path) -> None:
    """A random model wrote U+2028, at which str.splitlines() cut its record in two."""
    record = {"key": "a", "text": "\u2028\x85\u0001"}
    (tmp_path / "items.jsonl").write_text(json.dumps(record, ensure_ascii=False) + "\n", encoding="utf-8")
    assert read_records(tmp_path / "items.jsonl") == {"a": record}


def test_results_of_another_model_are_not_mixed_in(tmp_path: Path) -> None:
    claim(tmp_path, {"weights": "a"})
    claim(tmp_path, {"weights": "a"})
    with pytest.raises(UserError, match="another model"):
        claim(tmp_path, {"weights": "b"})


def test_the_fingerprint_sees_weights_but_not_the_card(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"1")
    before = fingerprint(tmp_path)
    (tmp_path / "card.md").write_text("numbers", encoding="utf-8")
    assert fingerprint(tmp_path) == before
    (tmp_path / "model.safetensors").write_bytes(b"2")
    assert fingerprint(tmp_path) != before


def test_examples_are_random_but_the_same_every_time(record: dict[str, Any]) -> None:
    records = [{**record, "key": str(number)} for number in range(30)]
    found = examples(records, seed=1, count=5)
    assert found == examples(records, seed=1, count=5) and len(found) == 5
    assert found[0]["said"] == record["source_text"] and found[0]["direction"] == "en-ja"


def test_an_unusable_model_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match=r"^2$"):
        main(["--model", str(tmp_path / "nowhere"), "--judge", str(tmp_path), "--out", str(tmp_path / "out")])
    assert capsys.readouterr().err.startswith("error: ")
