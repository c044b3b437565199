"""Tables of a listening test that JSON can hold: conditions, comparisons, agreement, raters, and what was left out."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stsmt.listening.events import Damage, Event, read_events
from stsmt.listening.items import KNOWN_KINDS
from stsmt.listening.quality import Standing, standings
from stsmt.listening.raters import Rater
from stsmt.listening.state import Rating, State
from stsmt.listening.statistics import (
    Interval,
    Observation,
    Outcome,
    bradley_terry,
    cluster_mean,
    mean,
    normalised,
    ordinal_alpha,
)


def read_summary(folder: Path | str) -> dict[str, Any]:
    """The summary of a folder of events.

    Raises:
        UserError: if there is none, or it cannot be read.
    """
    events, damage = read_events(folder)
    state = replay(events)
    return {**summary(state.ratings(), state.raters.values(), damage, state.skips()), "orphans": state.orphans}


def replay(events: Iterable[Event]) -> State:
    """The state that events lead to."""
    state = State()
    state.apply(events)
    return state


def summary(
    ratings: Sequence[Rating], raters: Iterable[Rater], damage: Damage | None = None, skips: Iterable[Rating] = ()
) -> dict[str, Any]:
    """Everything at once; `skips` (with a flag) are in the table of flags only.

    Excluded raters are left out of all numbers; those not yet known are in, and counted.
    """
    known = list(raters)
    judged = standings(known, ratings)
    used = counted(ratings, judged)
    return {
        "n_ratings": len([rating for rating in ratings if rating.item.kind not in KNOWN_KINDS]),
        "n_counted": len(used),
        "conditions": condition_table(used),
        "comparisons": comparison_table(used),
        "agreement": agreement_table(used),
        "anchors": anchor_table(used),
        "flags": flag_table([*used, *counted(skips, judged)]),
        "raters": [_rater_row(rater, judged[rater.id], ratings) for rater in known],
        "standings": dict(Counter(standing.state for standing in judged.values())),
        "damage": (damage or Damage()).to_json(),
    }


def public_summary(found: Mapping[str, Any]) -> dict[str, Any]:
    """A summary without what would tell raters which items were gold or traps: the measures of each rater."""
    kept = [{key: value for key, value in row.items() if key != "measures"} for row in found["raters"]]
    rows = [row if row["state"] == "excluded" else {**row, "reasons": []} for row in kept]
    return {**found, "raters": rows}


def counted(ratings: Iterable[Rating], judged: Mapping[str, Standing]) -> list[Rating]:
    """Answers about pairs (not known items) by raters who are not excluded."""
    return [
        rating
        for rating in ratings
        if rating.item.kind not in KNOWN_KINDS
        and (rating.rater not in judged or judged[rating.rater].state != "excluded")
    ]


def scores_of(ratings: Iterable[Rating]) -> Iterator[tuple[str, str, Observation]]:
    """Question, condition and observation of every score. An item of two rounds is one item."""
    for rating in ratings:
        for question, score in rating.scores.items():
            pair_id, condition = rating.item.targets[0].pair_id, rating.item.conditions[0]
            yield question, condition, Observation(rating.rater, pair_id, float(score))


def by_question(ratings: Iterable[Rating]) -> dict[str, list[tuple[str, Observation]]]:
    """Conditions and observations of each question. Where a rater has scored a pair again, the later score holds."""
    latest: dict[tuple[str, Any, Any], tuple[str, Observation]] = {}
    for question, condition, observation in scores_of(ratings):
        latest[(question, observation.rater, observation.item)] = condition, observation
    found: dict[str, list[tuple[str, Observation]]] = {}
    for (question, _, _), row in latest.items():
        found.setdefault(question, []).append(row)
    return found


def condition_table(ratings: Iterable[Rating]) -> list[dict[str, Any]]:
    """For each question and condition: mean with t interval, cluster interval, and the mean without rater offsets."""
    rows = []
    for question, found in sorted(by_question(ratings).items()):
        fair = normalised([observation for _, observation in found])
        for condition in sorted({condition for condition, _ in found}):
            own = [i for i, (name, _) in enumerate(found) if name == condition]
            rows.append(_condition_row(question, condition, [found[i][1] for i in own], [fair[i] for i in own]))
    return rows


def _condition_row(question: str, condition: str, own: list[Observation], fair: list[Observation]) -> dict[str, Any]:
    return {
        "question": question,
        "condition": condition,
        "raters": len({o.rater for o in own}),
        "items": len({o.item for o in own}),
        "mean": mean([o.score for o in own]).to_json(),
        "clustered": cluster_mean(own).to_json(),
        "normalised": mean([o.score for o in fair]).to_json(),
        "histogram": [sum(o.score == step for o in own) for step in range(1, 6)],
    }


def pair_table(ratings: Iterable[Rating]) -> dict[str, dict[str, dict[str, Any]]]:
    """For each pair and question: n, mean, and the mean without rater offsets; for filters and rounds."""
    found: dict[str, dict[str, dict[str, Any]]] = {}
    for question, rows in by_question(ratings).items():
        fair = normalised([observation for _, observation in rows])
        groups: dict[str, list[int]] = {}
        for i, (_, observation) in enumerate(rows):
            groups.setdefault(str(observation.item), []).append(i)
        for pair_id, own in groups.items():
            found.setdefault(pair_id, {})[question] = {
                "n": len(own),
                "mean": mean([rows[i][1].score for i in own]).value,
                "normalised": mean([fair[i].score for i in own]).value,
            }
    return found


@dataclass(frozen=True)
class PairRatings:
    """What raters said of one pair: means by question, how often each defect was flagged, and how it fared in
    comparisons (question → won, lost, tie, both_bad → how often)."""

    means: dict[str, Interval]
    flags: dict[str, int]
    comparisons: dict[str, dict[str, int]]


def pair_ratings(ratings: Sequence[Rating], skips: Iterable[Rating], pair_id: str) -> PairRatings:
    """Of the answers (and skips with a flag) to items with a target of this pair. Flags of a comparison are left out:
    they do not say which of the two is meant."""
    alone = [rating for rating in ratings if len(rating.item.targets) == 1]
    means = {question: mean([o.score for _, o in rows]) for question, rows in sorted(by_question(alone).items())}
    single = [skip for skip in skips if len(skip.item.targets) == 1]
    flags = Counter(flag for rating in (*alone, *single) for flag in rating.flags)
    compared: dict[str, Counter[str]] = {}
    for rating in ratings:
        if rating.choice:
            compared.setdefault(rating.questions[0], Counter())[_fared(rating, pair_id)] += 1
    return PairRatings(means, dict(sorted(flags.items())), {q: dict(n) for q, n in sorted(compared.items())})


def _fared(rating: Rating, pair_id: str) -> str:
    if rating.winner is None:
        return str(rating.choice)
    return "won" if rating.item.targets[rating.winner].pair_id == pair_id else "lost"


def outcomes(ratings: Iterable[Rating], question: str) -> list[Outcome]:
    """The comparisons that say something of strength: wins and ties; "both bad" is counted elsewhere."""
    asked = [r for r in ratings if r.choice and r.choice != "both_bad" and r.questions == (question,)]
    rows = [(r, r.item.conditions[0], r.item.conditions[1]) for r in asked]
    return [Outcome(r.rater, r.item.id, one, two, _score(r)) for r, one, two in rows if one != two]


def _score(rating: Rating) -> float:
    return 0.5 if rating.winner is None else float(rating.winner == 0)


def comparison_table(ratings: Sequence[Rating]) -> list[dict[str, Any]]:
    """For each question of preference: strengths by condition, and how often each choice was made."""
    rows = []
    for question in sorted({r.questions[0] for r in ratings if r.choice}):
        strengths = bradley_terry(outcomes(ratings, question))
        choices = Counter(_outcome(r) for r in ratings if r.choice and r.questions == (question,))
        rows.append(
            {
                "question": question,
                "strengths": {condition: interval.to_json() for condition, interval in strengths.items()},
                "choices": dict(sorted(choices.items())),
            }
        )
    return rows


def _outcome(rating: Rating) -> str:
    return f"{rating.item.conditions[rating.winner]} wins" if rating.winner is not None else str(rating.choice)


def agreement_table(ratings: Iterable[Rating]) -> list[dict[str, Any]]:
    """Krippendorff's alpha (ordinal) of each question, and on how many pairs with two or more ratings it rests."""
    rows = []
    for question, found in sorted(by_question(ratings).items()):
        observations = [observation for _, observation in found]
        times = Counter(o.item for o in observations)
        alpha = ordinal_alpha(observations)
        shared = sum(count > 1 for count in times.values())
        rows.append({"question": question, "alpha": None if alpha is None else round(alpha, 4), "items": shared})
    return rows


def anchor_table(ratings: Iterable[Rating]) -> list[dict[str, Any]]:
    """Means of the anchors by round: where they differ, scores of those rounds cannot be compared as they are."""
    groups: dict[tuple[str, str], list[float]] = {}
    for rating in ratings:
        if rating.item.kind == "anchor":
            for question, score in rating.scores.items():
                groups.setdefault((rating.plan, question), []).append(score)
    return [{"round": r, "question": q, "mean": mean(own).to_json()} for (r, q), own in sorted(groups.items())]


def flag_table(ratings: Iterable[Rating]) -> list[dict[str, Any]]:
    """How often each defect was flagged, by condition; flags of a comparison belong to both targets."""
    counts = Counter((c, flag) for r in ratings for c in sorted(set(r.item.conditions)) for flag in r.flags)
    return [{"condition": c, "flag": flag, "n": n} for (c, flag), n in sorted(counts.items())]


def _rater_row(rater: Rater, standing: Standing, ratings: Sequence[Rating]) -> dict[str, Any]:
    """Without name or credential: only the id."""
    own = [r for r in ratings if r.rater == rater.id and r.item.kind not in KNOWN_KINDS]
    about = {"competence": rater.competence, "device": rater.device, "check_passed": rater.checked}
    return {"rater": rater.id, **about, "ratings": len(own), **standing.to_json()}
