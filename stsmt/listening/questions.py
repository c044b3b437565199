"""What may be asked, and of whom: scales of five steps, flags, and choices between two targets."""

from dataclasses import dataclass
from typing import Literal

from stsmt.example import LANGUAGES, Language

Competence = Literal["ja", "en", "both"]
COMPETENCES: tuple[Competence, ...] = ("ja", "en", "both")
LABELS = "stsmt-2026-1"  # the wording of the scales; a new wording gets a new name, since it may move the scores
CONSENT = "stsmt-2026-1"  # the wording that a rater has agreed to
STEPS = (1, 2, 3, 4, 5)
FLAGS = ("loop", "cut", "wrong_language", "noise", "wrong_meaning", "offensive")
CHOICES = ("a", "b", "tie", "both_bad")
OPTIONAL = ("source_quality", "voice_similarity")


@dataclass(frozen=True)
class Question:
    """A scale of `STEPS`: which clips must be heard for it, and which of the two languages must be understood."""

    name: str
    hears: tuple[str, ...]
    source: bool
    target: bool


# Naturalness and source quality use the five categories of ITU-T P.800 (08/1996), Annex B (absolute category rating).
QUESTIONS = {
    question.name: question
    for question in (
        Question("adequacy", ("source", "target"), source=True, target=True),
        Question("naturalness", ("target",), source=False, target=True),
        Question("source_quality", ("source",), source=True, target=False),
        Question("voice_similarity", ("source", "target"), source=False, target=False),
    )
}
# A preference may be asked of who understands both sides, or of who can only judge how the target sounds.
PREFERENCES = ("preference", "preference_sound")


def understands(competence: Competence, language: Language) -> bool:
    return competence in (language, "both")


def asked(
    competence: Competence, source: Language, target: Language, optional: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """The names of the questions that a rater can answer on a pair; empty where the pair is not for this rater."""
    knows_source, knows_target = understands(competence, source), understands(competence, target)
    wanted = [q for q in QUESTIONS.values() if q.name not in OPTIONAL or q.name in optional]
    names = [q.name for q in wanted if (knows_source or not q.source) and (knows_target or not q.target)]
    # Similarity alone is no reason to listen to a pair.
    return tuple(names) if set(names) - {"voice_similarity"} else ()


def asked_preference(competence: Competence, source: Language, target: Language) -> tuple[str, ...]:
    """The one question of a comparison, or none."""
    if not understands(competence, target):
        return ()
    return (PREFERENCES[0],) if understands(competence, source) else (PREFERENCES[1],)


def heard_for(questions: tuple[str, ...]) -> tuple[str, ...]:
    """The clips that must be heard before answering, in the order of the page."""
    if questions and questions[0] in PREFERENCES:
        return ("source", "a", "b") if questions[0] == PREFERENCES[0] else ("a", "b")
    needed = {clip for name in questions for clip in QUESTIONS[name].hears}
    return tuple(clip for clip in ("source", "target") if clip in needed)


assert set(LANGUAGES) <= set(COMPETENCES)
