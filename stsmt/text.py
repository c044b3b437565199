"""Japanese and English text: clean it, check it, normalise it for scoring, guess its language."""

import re
import unicodedata
from typing import Literal

from stsmt.errors import UserError

MAX_CHARACTERS = 300
LANGUAGE_NAMES = {"ja": "Japanese", "en": "English"}

_KANA_OR_KANJI = re.compile(r"[\u3041-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9f々〆]")
_LATIN = re.compile(r"[A-Za-z\u00c0-\u024f\uff21-\uff3a\uff41-\uff5a]")
_UNSPEAKABLE = ("So", "Sk", "Cf", "Co", "Cn", "Me")  # emoji and their modifiers, invisible, unassigned
_HALF_WIDTH_KANA = re.compile(r"[\uff61-\uff9f]+")
_FULL_WIDTH_ASCII = re.compile(r"[\uff10-\uff19\uff21-\uff3a\uff41-\uff5a]+")


def normalise_for_display(text: str) -> str:
    """One line, single spaces, full-width kana, half-width letters and digits; punctuation stays as it is."""
    text = unicodedata.normalize("NFC", text)
    for pattern in (_HALF_WIDTH_KANA, _FULL_WIDTH_ASCII):
        text = pattern.sub(lambda match: unicodedata.normalize("NFKC", match[0]), text)
    return " ".join(text.split())


def speakable(text: str) -> str:
    """The text without emoji, invisible characters and superfluous space: what a voice can say."""
    kept = "".join(
        c for c in text if unicodedata.category(c) not in ("So", "Sk", "Cf", "Co", "Cn", "Me") and c != "\ufe0f"
    )
    return normalise_for_display(kept)


def normalise_for_scoring(text: str, language: str) -> str:
    """What CER (ja) and WER (en) compare: NFKC, lower case, no punctuation; for Japanese no spaces either.

    Apostrophes inside English words stay ("don't"), hyphens become spaces.
    """
    text = unicodedata.normalize("NFKC", text).lower().replace("’", "'")
    text = re.sub(r"[-‐–—]", " ", text) if language == "en" else text
    text = re.sub(r"(?<!\w)'|'(?!\w)", " ", text)
    kept = (c if c == "'" or unicodedata.category(c)[0] in "LNM" else " " for c in _keep_long_vowels(text))
    text = ("" if language == "ja" else " ").join("".join(kept).split())
    return unicodedata.normalize("NFKC", text)  # marks that lost what stood between


def _keep_long_vowels(text: str) -> str:
    return re.sub(r"[〜~]", "ー", text)


def guess_language(text: str) -> Literal["ja", "en"] | None:
    """The script's language, or None where there are no letters of either.

    A kana or kanji counts as two Latin letters: a foreign name does not turn a sentence.
    """
    japanese, latin = len(_KANA_OR_KANJI.findall(text)), len(_LATIN.findall(text))
    if not japanese and not latin:
        return None
    return "ja" if 2 * japanese >= latin else "en"


def check_text(text: str, language: str | None) -> None:
    """Refuse what cannot be spoken or translated; `language` None accepts either.

    Raises:
        UserError: if it is empty, too long, holds control characters, no letters, or is in another language.
    """
    if not text.strip():
        raise UserError("The text is empty; type a sentence.")
    if len(text) > MAX_CHARACTERS:
        raise UserError(
            f"The text is too long ({len(text)} characters); at most {MAX_CHARACTERS} are taken, so cut it."
        )
    if any(unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\r\t" for c in text):
        raise UserError("The text holds control characters; remove them.")
    if not any(unicodedata.category(c)[0] in "LN" for c in text):
        raise UserError("The text holds no words (only symbols or emoji); type a sentence.")
    _check_language(text, language)


def _check_language(text: str, language: str | None) -> None:
    guess = guess_language(text)
    if guess is None and any(c.isalpha() for c in text):
        raise UserError("The text is neither Japanese nor English; use one of these two.")
    if language is not None and guess not in (None, language):
        asked, found = LANGUAGE_NAMES[language], LANGUAGE_NAMES[str(guess)]
        raise UserError(f"The text looks {found}, not {asked}; choose {found} or write {asked}.")
