"""What lies under `assets/`: origin, licence and sha256 of every file, as a table in `assets/README.md`.

`python -m training.assets` rewrites the table; with `--check` it only says (by its exit status) whether it is right.
"""

import argparse
import hashlib
import sys
from pathlib import Path
from typing import NamedTuple

from stsmt.errors import UserError, stated_errors

ROOT = Path(__file__).resolve().parent.parent
MAX_TOTAL_BYTES = 48_000_000
OPENING, CLOSING = "<!-- table -->", "<!-- /table -->"
HEAD = "| file | bytes | origin | licence | sha256 |\n|---|---|---|---|---|"


class Origin(NamedTuple):
    """Where the files under `prefix` (a path relative to `assets/`) come from, and their licence."""

    prefix: str
    origin: str
    licence: str


OURS = "trained by this repository on synthetic speech of its own phrasebook"

# The longest prefix that fits a file speaks for it.
ORIGINS = (
    Origin("embedded/", f"{OURS} (training/README.md)", "Apache-2.0"),
    Origin("judge/", f"{OURS} (training/recogniser.py), with another seed than the codec's", "Apache-2.0"),
    Origin(
        "examples/", "our phrasebook, spoken by Open JTalk's mei (ja) and flite (en)", "CC BY 3.0 (ja), BSD-like (en)"
    ),
    Origin(
        "corpus/", "our phrasebook, spoken by the voices of training/voices.py, as codes of our codec", "Apache-2.0"
    ),
    Origin(
        "corpus/pairs.parquet",
        "pairs of a run's codes, a tenth of them spoiled (training/demo_corpus.py); licence in each row",
        "Apache-2.0",
    ),
    Origin("screenshots/", "pictures of this app", "Apache-2.0"),
    Origin("report/", "plots of training/REPORT.md, made by training.evaluate", "Apache-2.0"),
)


def asset_files(folder: Path) -> list[Path]:
    """All files below `folder` but its README and hidden ones, in a fixed order."""
    found = (path for path in folder.rglob("*") if path.is_file() and path != folder / "README.md")
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def origin_of(name: str, origins: tuple[Origin, ...] = ORIGINS) -> Origin:
    """The rule for one file.

    Raises:
        UserError: if no rule fits.
    """
    fitting = [origin for origin in origins if name.startswith(origin.prefix)]
    if not fitting:
        raise UserError(f"assets/{name} has no origin; add a line to ORIGINS in training/assets.py.")
    return max(fitting, key=lambda origin: len(origin.prefix))


def table(folder: Path, origins: tuple[Origin, ...] = ORIGINS) -> str:
    """The Markdown table of all files.

    Raises:
        UserError: if a file has no origin, or all files together are too large.
    """
    files = asset_files(folder)
    total = sum(path.stat().st_size for path in files)
    if total > MAX_TOTAL_BYTES:
        raise UserError(f"assets/ holds {total:,} bytes; at most {MAX_TOTAL_BYTES:,} are allowed.")
    return "\n".join([HEAD, *(_row(path, path.relative_to(folder).as_posix(), origins) for path in files)])


def _row(path: Path, name: str, origins: tuple[Origin, ...]) -> str:
    origin = origin_of(name, origins)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"| {name} | {path.stat().st_size} | {origin.origin} | {origin.licence} | {digest} |"


def with_table(page: str, new: str) -> str:
    """`page` with what stands between the two markers replaced."""
    before, found, rest = page.partition(OPENING)
    _, closed, after = rest.partition(CLOSING)
    if not found or not closed:
        raise UserError(f"assets/README.md has lost its markers {OPENING} and {CLOSING}; put them back.")
    return f"{before}{OPENING}\n{new}\n{CLOSING}{after}"


def main(arguments: list[str] | None = None, folder: Path = ROOT / "assets") -> int:
    parser = argparse.ArgumentParser(description="Write the table of assets/README.md.")
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if the table is out of date")
    check = parser.parse_args(arguments).check
    readme = folder / "README.md"
    with stated_errors():
        page = readme.read_text(encoding="utf-8")
        wanted = with_table(page, table(folder))
    if check:
        return int(page != wanted)
    readme.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
