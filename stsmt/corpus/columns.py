"""What can be searched, filtered and sorted by: a fixed list and the signals of an index, each named in two languages.

Names of columns reach SQL from here only.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from stsmt.example import Language

Kind = Literal["number", "choice", "text"]


@dataclass(frozen=True)
class Column:
    """A column of the index: what it holds and what people call it."""

    name: str
    kind: Kind
    english: str
    japanese: str
    unit: str = ""

    def label(self, language: Language) -> str:
        return self.japanese if language == "ja" else self.english

    @property
    def sql(self) -> str:
        """Its name, quoted."""
        return '"' + self.name.replace('"', '""') + '"'


_SIDE_LABELS = {"source": ("source", "元"), "target": ("translation", "訳")}
_SIDED: tuple[tuple[str, Kind, str, str, str], ...] = (
    ("text", "text", "text of the {}", "{}の文", ""),
    ("language", "choice", "language of the {}", "{}の言語", ""),
    ("voice", "choice", "voice of the {}", "{}の声", ""),
    ("model", "choice", "model of the {}", "{}のモデル", ""),
    ("seconds", "number", "length of the {}", "{}の長さ", "s"),
)
_SIGNALS: tuple[tuple[str, str, str, str], ...] = (
    ("longest_run", "longest run of one code, {}", "{}の同一コードの最長連続", ""),
    ("repeat_share", "repeated code 4-grams, {}", "{}のコード反復率", ""),
    ("text_repeat_share", "repeated letter 4-grams, {}", "{}の文の反復率", ""),
    ("silence_share", "silence, {}", "{}の無音率", ""),
    ("expected_ratio", "length against what the text needs, {}", "{}の長さの期待比", ""),
    ("characters_per_second", "characters per second, {}", "{}の文字毎秒", "/s"),
    ("loudness", "loudness, {}", "{}の音量", "dBFS"),
    ("clipped_share", "clipped samples, {}", "{}の音割れ率", ""),
    ("error_rate", "recogniser's error rate, {}", "{}の認識誤り率", "%"),
    ("character_error_rate", "recogniser's error rate by letter, {}", "{}の認識文字誤り率", "%"),
    ("whisper_error_rate", "Whisper's error rate by letter, {}", "{}のWhisper文字誤り率", "%"),
    ("mos_p808", "predicted opinion score (DNSMOS P.808), {}", "{}の予測評価値（DNSMOS P.808）", ""),
    ("mos_p835", "predicted opinion score (DNSMOS P.835), {}", "{}の予測評価値（DNSMOS P.835）", ""),
)
_PLAIN: tuple[Column, ...] = (
    Column("split", "choice", "split", "分割"),
    Column("template", "choice", "template", "ひな形"),
    Column("origin", "choice", "origin", "出所"),
    Column("licence", "choice", "licence", "ライセンス"),
)
_PAIR_SIGNALS: tuple[Column, ...] = (
    Column("duration_ratio", "number", "length, translation to source", "長さの比（訳÷元）"),
    Column("text_ratio", "number", "text length, translation to source", "文の長さの比（訳÷元）"),
    Column("speaker_similarity", "number", "similarity of the two voices", "二つの声の類似度"),
    Column("translation_log_probability", "number", "log probability of the translation", "訳文の対数確率"),
)


def _sided(name: str, kind: Kind, english: str, japanese: str, unit: str) -> list[Column]:
    return [
        Column(f"{side}_{name}", kind, english.format(en), japanese.format(ja), unit)
        for side, (en, ja) in _SIDE_LABELS.items()
    ]


FIXED: dict[str, Column] = {column.name: column for column in (*(c for row in _SIDED for c in _sided(*row)), *_PLAIN)}
KNOWN_SIGNALS: dict[str, Column] = {
    column.name: column
    for column in (*(c for n, en, ja, u in _SIGNALS for c in _sided(n, "number", en, ja, u)), *_PAIR_SIGNALS)
}


def columns_of(signals: Iterable[str]) -> dict[str, Column]:
    """All columns of an index with these signals; one that nobody here knows is called by its name."""
    known = {name: KNOWN_SIGNALS.get(name, Column(name, "number", name, name)) for name in signals}
    return FIXED | known
