"""`python -m stsmt ratings plan NAME`: start a round of listening of one's own choice; it loads no model."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stsmt.errors import UserError
from stsmt.settings import CORPUS, Settings

if TYPE_CHECKING:
    from stsmt.corpus.search import Corpus
    from stsmt.listening.items import PairItems
    from stsmt.listening.plan import Plan

DRAWN = 5000  # pairs among which strata and borderline cases are looked for
LEAST_RATE, MOST_RATE = 0.01, 0.5  # of special items
EXAMPLES = """\
examples:
  stsmt ratings plan round-2 --n 200 --stratify target_voice --double 0.2:5
  stsmt ratings plan doubtful --n 100 --borderline target_error_rate=20
  stsmt ratings plan defects --n 50 --suspected "target_repeat_share > 0.3"
  stsmt ratings plan old-or-new --n 0 --compare pairs.txt --optional voice_similarity

The running app serves the new round from its next item on. A file for --compare has two pair ids per line, which share
a source sentence; one for --anchors has one id per line: pairs that come in every round, so that rounds compare.
"""


def add_plan(actions: Any) -> argparse.ArgumentParser:
    """Add the action to those of `ratings`."""
    parser: argparse.ArgumentParser = actions.add_parser(
        "plan",
        help="start a round: which pairs are rated, how often, with which questions",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", help="of the round; each needs its own")
    parser.add_argument("--db", metavar="FILE", help="index of the corpus (default: STSMT_DB, or corpus.duckdb)")
    parser.add_argument("--n", type=int, default=60, help="pairs to rate (default: 60)")
    parser.add_argument("--where", default="", metavar="FILTER", help="only pairs that pass, as in corpus search")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--stratify", metavar="COLUMN", help="as many pairs of each value as of any other")
    how.add_argument("--borderline", metavar="COLUMN=VALUE", help="those nearest to a filter's threshold")
    how.add_argument("--suspected", metavar="FILTER", help="those that a signal suspects")
    parser.add_argument("--compare", metavar="FILE", help="pairs of ids to compare, A against B")
    parser.add_argument("--anchors", metavar="FILE", help="ids that come in every round")
    parser.add_argument("--overlap", type=int, default=3, help="raters per item (default: 3)")
    parser.add_argument("--double", metavar="SHARE:OVERLAP", help="a share of the pairs gets another overlap")
    parser.add_argument("--optional", nargs="+", default=[], metavar="QUESTION", help="source_quality voice_similarity")
    for kind in ("gold", "trap", "anchor"):
        parser.add_argument(f"--{kind}-rate", type=float, default=0.1, help=f"share of {kind} items (default: 0.1)")
    parser.add_argument("--seed", type=int, default=0)
    return parser


def run_plan(options: argparse.Namespace) -> int:
    """Make the round and start it; raises UserError for what cannot be."""
    from stsmt.corpus.search import Corpus
    from stsmt.listening.events import EventLog
    from stsmt.listening.items import silent_items
    from stsmt.listening.protocol import ListeningTest

    settings = Settings.read()
    corpus = Corpus(Path(options.db or settings.db))
    items = silent_items(corpus.pair)
    plan = plan_of(corpus, items, options)
    test = ListeningTest(items, EventLog(options.ratings or settings.ratings))
    if test.has_plan and test.plan.name == plan.name and test.plan != plan:
        raise UserError(f"There is a round called {plan.name} already; give another name.")
    test.start_round(plan)
    kinds = [item.kind for item in plan.items]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds))
    print(f"Round {plan.name} has started: {counts or 'no items'}.")
    return 0


def plan_of(corpus: "Corpus", items: "PairItems", options: argparse.Namespace) -> "Plan":
    """The round that the options describe.

    Raises:
        UserError: for a number, name, filter or file that cannot be.
    """
    from stsmt.listening.plan import make_plan, planted_golds, practised
    from stsmt.listening.planted import read_planted

    if options.n < 0 or options.overlap < 1 or options.seed < 0:
        raise UserError("--n and --seed must be at least 0 and --overlap at least 1.")
    rates = {name: getattr(options, name) for name in ("gold_rate", "trap_rate", "anchor_rate")}
    if not all(rate == 0 or LEAST_RATE <= rate <= MOST_RATE for rate in rates.values()):
        raise UserError(f"The rates of gold, trap and anchor items must be 0, or between {LEAST_RATE} and {MOST_RATE}.")
    planted = read_planted(CORPUS)
    known = {pair_id for pair_id, _ in planted} & set(corpus.values("split", [pair_id for pair_id, _ in planted]))
    golds = planted_golds([row for row in planted if row[0] in known])
    golds, trainings = practised(items, golds)
    chosen = choose(corpus, options)
    plan = make_plan(
        items,
        options.name,
        chosen,
        overlap=options.overlap,
        double=read_double(options.double),
        comparisons=[(a, b) for a, b in read_ids(options.compare, 2)],
        golds=golds,
        trainings=trainings,
        anchors=[id for (id,) in read_ids(options.anchors, 1)],
        traps=round(options.trap_rate * len(chosen)),
        optional=tuple(options.optional),
        seed=options.seed,
        **rates,
    )
    if not any(item.kind in ("rating", "comparison", "anchor") for item in plan.items):
        raise UserError("Nothing would be rated: no pair passes, or --n is 0 without --compare or --anchors.")
    return plan


def choose(corpus: "Corpus", options: argparse.Namespace) -> list[str]:
    """The ids of the pairs to rate."""
    from stsmt.corpus.filters import parse_filters
    from stsmt.listening.plan import borderline, stratified

    filters = parse_filters(options.where) if options.where else []
    if options.suspected:
        return corpus.sample([*filters, *parse_filters(options.suspected)], options.n, options.seed)
    if options.stratify:
        values = corpus.values(options.stratify, corpus.sample(filters, DRAWN, options.seed))
        return stratified(list(values), values.__getitem__, options.n, options.seed)
    if options.borderline:
        column, _, threshold = options.borderline.partition("=")
        values = corpus.values(column.strip(), corpus.sample(filters, DRAWN, options.seed), kind="number")
        return borderline(values, read_number(threshold, "--borderline COLUMN=VALUE"), options.n)
    return corpus.sample(filters, options.n, options.seed)


def read_number(text: str, what: str) -> float:
    """A finite number.

    Raises:
        UserError: if it is none; `what` says what it is for.
    """
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:  # NaN or infinite
        raise UserError(f"{what} needs a number, not {text!r}.")
    return value


def read_double(given: str | None) -> tuple[float, int] | None:
    """SHARE:OVERLAP as numbers."""
    if given is None:
        return None
    share, _, overlap = given.partition(":")
    found = read_number(share, "--double SHARE:OVERLAP"), read_number(overlap, "--double SHARE:OVERLAP")
    if not 0 <= found[0] <= 1 or found[1] < 1 or found[1] != int(found[1]):
        raise UserError(f"--double needs a share from 0 to 1 and a whole overlap, such as 0.2:5, not {given!r}.")
    return found[0], int(found[1])


def read_ids(file: str | None, count: int) -> list[Sequence[str]]:
    """The lines of a file, each of `count` ids; empty lines are passed over.

    Raises:
        UserError: if it cannot be read or a line has another number of ids.
    """
    if file is None:
        return []
    try:
        lines = Path(file).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{file} cannot be read ({error}).") from None
    rows = [line.split() for line in lines if line.strip()]
    wrong = next((number for number, row in enumerate(rows, 1) if len(row) != count), None)
    if wrong is not None:
        raise UserError(f"Line {wrong} of {file} must hold {count} pair id{'s' if count > 1 else ''}.")
    return list(rows)
