"""Who rates: a name with a secret code (kept only as a hash), or an identity that somebody else vouches for."""

import hashlib
import re
import secrets
import unicodedata
from dataclasses import dataclass

from stsmt.errors import UserError
from stsmt.listening.questions import COMPETENCES, Competence

ALPHABET = "abcdefghjkmnpqrstuvwxyz23456789"  # no i, l, o, 0, 1: codes are written down by hand
GROUPS, LENGTH = 4, 4  # 31 ** 16 codes, 79 bits
CODE = re.compile(rf"[{ALPHABET}]{{{LENGTH}}}(-[{ALPHABET}]{{{LENGTH}}}){{{GROUPS - 1}}}")
MAX_NAME = 60


@dataclass
class Rater:
    """`credential` is the hash of the code or identity. `checked`: whether the headphone check was passed last time."""

    id: str
    name: str
    competence: Competence
    credential: str
    joined_at: float
    device: str = ""
    checks: int = 0
    checked: bool = False


def new_code() -> str:
    """A secret to resume with."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(LENGTH)) for _ in range(GROUPS))


def code_credential(code: str) -> str:
    """The hash of a code, however it was typed. The code is random, so that a plain hash cannot be searched.

    Raises:
        UserError: if it cannot be a code.
    """
    letters = re.sub(r"[^0-9a-z]", "", unicodedata.normalize("NFKC", code or "")[:200].lower())
    typed = "-".join(letters[i : i + LENGTH] for i in range(0, len(letters), LENGTH))
    if not CODE.fullmatch(typed):
        raise UserError("This is not a resume code; it has four groups of four letters and digits.")
    return hashlib.sha256(f"code:{typed}".encode()).hexdigest()


def identity_credential(provider: str, subject: str) -> str:
    """The hash of an identity that a login service vouches for; no code has the same."""
    return hashlib.sha256(f"{provider}:{subject}".encode()).hexdigest()


def check_name(name: str) -> str:
    """A name that can be shown.

    Raises:
        UserError: if it is empty, too long, or holds control characters.
    """
    cleaned = unicodedata.normalize("NFC", (name or "").strip()) if is_text(name or "") else ""
    if not cleaned or len(cleaned) > MAX_NAME or any(unicodedata.category(c)[0] == "C" for c in cleaned):
        raise UserError(f"Please give a name of 1 to {MAX_NAME} visible characters.")
    return cleaned


def check_competence(value: str) -> Competence:
    """The same value, known to be one of `COMPETENCES`.

    Raises:
        UserError: if it is not.
    """
    for competence in COMPETENCES:
        if value == competence:
            return competence
    raise UserError(f"Unknown language competence {value!r}; choose one of: {', '.join(COMPETENCES)}.")


def is_text(value: str) -> bool:
    """Whether it can be written as UTF-8 (half a surrogate pair cannot)."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
