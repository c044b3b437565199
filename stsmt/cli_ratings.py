"""The command line of ratings: `python -m stsmt ratings summary | export | import | refill`; it loads no model."""

import argparse
import json
from typing import Any

from stsmt.cli_plan import add_plan, run_plan
from stsmt.settings import Settings


def add_ratings(verbs: Any) -> None:
    """Add the verb and its actions to the parser's verbs."""
    ratings = verbs.add_parser("ratings", help="what the listening test has gathered")
    actions = ratings.add_subparsers(dest="action", required=True, metavar="ACTION")
    summary = actions.add_parser("summary", help="means, comparisons, agreement, raters")
    summary.add_argument("--json", action="store_true", help="print everything as one JSON document")
    summary.add_argument("--db", metavar="FILE", help="taken for symmetry; the events themselves name the conditions")
    out = actions.add_parser("export", help="one row per answer, and a manifest with its sha256")
    out.add_argument("-o", "--output", required=True, metavar="FILE", help="a .csv or .jsonl file")
    into = actions.add_parser("import", help="add the events of another folder; those already here stay as they are")
    into.add_argument("source", metavar="FROM", help="a folder of ratings, or one file events-….jsonl")
    actions.add_parser("refill", help="ask for more answers in place of those that do not count")
    add_plan(actions)
    for name, action in actions.choices.items():
        action.set_defaults(run=run_plan if name == "plan" else run_ratings)
        action.add_argument("--ratings", metavar="DIR", help="folder of ratings (default: STSMT_RATINGS, or ratings)")


def run_ratings(options: argparse.Namespace) -> int:
    """Run one action; raises UserError for what cannot be."""
    from stsmt.listening.exchange import export, import_events  # with scipy, for which other verbs need not wait
    from stsmt.listening.refill import refill
    from stsmt.listening.summary import read_summary

    folder = options.ratings or Settings.read().ratings
    if options.action == "export":
        manifest = export(folder, options.output)
        print(f"{manifest['rows']} answers written to {options.output}; sha256 {manifest['sha256']}")
    elif options.action == "refill":
        print(f"{refill(folder)} answers do not count; as many more are asked for")
    elif options.action == "import":
        found = import_events(options.source, folder)
        print(f"{found['added']} of {found['events']} events added to {folder}")
        _tell_damage(found)
    else:
        found = read_summary(folder)
        print(json.dumps(found, ensure_ascii=False) if options.json else as_text(found))
    return 0


def as_text(found: dict[str, Any]) -> str:
    """A summary for people."""
    standings = ", ".join(f"{n} {state}" for state, n in sorted(found["standings"].items())) or "none"
    lines = [f"{found['n_ratings']} answers, {found['n_counted']} counted; raters: {standings}"]
    lines += [
        f"{row['question']:<18} {row['condition']:<20} {_interval(row['mean'])}  (raters {row['raters']}, "
        f"pairs {row['items']})"
        for row in found["conditions"]
    ]
    for row in found["agreement"]:
        alpha = "not enough" if row["alpha"] is None else f"{row['alpha']:.2f}"
        lines.append(f"{row['question']:<18} Krippendorff's alpha (ordinal): {alpha} on {row['items']} pairs")
    for table in found["comparisons"]:
        lines += [f"{table['question']:<18} {name:<20} {_interval(s)}" for name, s in table["strengths"].items()]
        lines.append(f"{table['question']:<18} {table['choices']}")
    lines += [f"{'defect':<18} {row['condition']:<20} {row['flag']}: {row['n']}" for row in found["flags"]]
    lines += [
        f"{row['question']:<18} {row['round']:<20} {_interval(row['mean'])}  (anchors)" for row in found["anchors"]
    ]
    damage = {**found["damage"]["torn"], **found["damage"]["unreadable"]}
    return "\n".join([*lines, *(f"note: {name} has a torn or unreadable line" for name in damage)])


def _interval(interval: dict[str, Any]) -> str:
    if not interval["enough"]:
        return f"not enough (n = {interval['n']})"
    return f"{interval['value']:.2f} [{interval['low']:.2f}, {interval['high']:.2f}] n = {interval['n']}"


def _tell_damage(found: dict[str, Any]) -> None:
    for name in {**found["torn"], **found["unreadable"]}:
        print(f"note: {name} has a torn or unreadable line, which was left out")
