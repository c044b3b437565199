"""Is an answer complete and sensible? And, in training, what would have been right."""

from stsmt.errors import UserError
from stsmt.listening.questions import CHOICES, FLAGS, PREFERENCES, STEPS
from stsmt.listening.raters import is_text
from stsmt.listening.state import Answer, Presentation

MAX_COMMENT = 2000


def check_answer(answer: Answer, questions: tuple[str, ...]) -> None:
    """Refuse what does not answer exactly the questions that were asked.

    Raises:
        UserError: saying what is missing or wrong.
    """
    scales = [name for name in questions if name not in PREFERENCES]
    missing = [name for name in scales if name not in answer.scores]
    if missing:
        raise UserError(f"Please answer every question; missing: {', '.join(missing)}.")
    extra = sorted(set(answer.scores) - set(scales))
    if extra:
        raise UserError(f"These questions were not asked: {', '.join(map(str, extra))}.")
    if any(type(score) is not int or score not in STEPS for score in answer.scores.values()):
        raise UserError("A score is a whole number from 1 to 5.")
    _check_choice(answer.choice, asked=len(scales) < len(questions))
    if set(answer.flags) - set(FLAGS):
        raise UserError(f"Unknown flag; choose from: {', '.join(FLAGS)}.")
    if len(answer.comment) > MAX_COMMENT or not is_text(answer.comment):
        raise UserError(f"A comment has at most {MAX_COMMENT} characters; please shorten it.")


def _check_choice(choice: str | None, asked: bool) -> None:
    if asked and choice not in CHOICES:
        raise UserError(f"Please choose one of: {', '.join(CHOICES)}.")
    if not asked and choice is not None:
        raise UserError("This item asks for scores, not for a choice.")


def feedback(shown: Presentation) -> dict[str, tuple[int, int]]:
    """The right scores (lowest, highest) of a known item, by question that was asked."""
    return {name: shown.item.expected[name] for name in shown.questions if name in shown.item.expected}
