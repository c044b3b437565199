"""Ratings out of a folder and events into one. The same events give the same bytes."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from stsmt.errors import UserError
from stsmt.listening.events import Damage, EventLog, Reader, parse, read_events
from stsmt.listening.quality import standings
from stsmt.listening.questions import QUESTIONS
from stsmt.listening.raters import Rater
from stsmt.listening.state import Rating
from stsmt.listening.summary import replay

COLUMNS = (
    (
        "id rater standing round kind pair_id other_pair_id condition other_condition source_language target_language "
        "questions {} choice winner flags comment at seconds took skipped"
    )
    .format(" ".join(QUESTIONS))
    .split()
)


def rows(folder: Path | str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
    """One row per answer that stands, and what a reader must know to trust them (watermark, damage).

    Raises:
        UserError: if there is no such folder, or it cannot be read.
    """
    events, damage = read_events(folder)
    state = replay(events)
    made = rows_of(state.ratings(), state.raters.values(), state.skips())
    return made, {"rows": len(made), "events": len(events), "last_event": _watermark(events), **damage.to_json()}


def rows_of(ratings: Sequence[Rating], raters: Iterable[Rater], skips: Iterable[Rating] = ()) -> list[dict[str, Any]]:
    """One row per answer and per item that was skipped with a flag, with the standing of its rater."""
    judged = standings(raters, ratings)
    return [_row(r, judged[r.rater].state if r.rater in judged else "unknown") for r in (*ratings, *skips)]


def _watermark(events: Sequence[Any]) -> dict[str, Any] | None:
    return {"id": events[-1].id, "at": events[-1].at} if events else None


def _row(rating: Rating, standing: str) -> dict[str, Any]:
    item, two = rating.item, len(rating.item.targets) > 1
    return {
        "id": rating.id,
        "rater": rating.rater,
        "standing": standing,
        "round": rating.plan,
        "kind": item.kind,
        "pair_id": item.targets[0].pair_id,
        "other_pair_id": item.targets[1].pair_id if two else None,
        "condition": item.conditions[0],
        "other_condition": item.conditions[1] if two else None,
        "source_language": item.source_language,
        "target_language": item.target_language,
        "questions": " ".join(rating.questions),
        **{name: rating.scores.get(name) for name in QUESTIONS},
        "choice": rating.choice,
        "winner": rating.winner,
        "flags": " ".join(rating.flags),
        "comment": rating.comment,
        "at": rating.at,
        "seconds": round(rating.seconds, 4),
        "took": round(rating.took, 4),
        "skipped": rating.skipped,
    }


def export(folder: Path | str, target: Path | str) -> dict[str, Any]:
    """Write all answers as `.csv` or `.jsonl`, and beside it a manifest with counts and the file's sha256.

    Raises:
        UserError: for another ending, an unreadable folder or a target that cannot be written.
    """
    path = Path(target)
    found, about = rows(folder)
    writers = {".csv": as_csv, ".jsonl": as_lines}
    if path.suffix not in writers:
        raise UserError(f"{target} must end in .csv or .jsonl.")
    data = writers[path.suffix](found)
    manifest = {"file": path.name, "sha256": hashlib.sha256(data).hexdigest(), **about}
    try:
        path.write_bytes(data)
        path.with_name(path.name + ".manifest.json").write_text(json.dumps(manifest, indent=2) + "\n", encoding="utf-8")
    except OSError as error:
        raise UserError(f"Cannot write {target}: {error.strerror}.") from None
    return manifest


def as_lines(found: list[dict[str, Any]]) -> bytes:
    """JSON lines in UTF-8."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in found).encode()


def as_csv(found: list[dict[str, Any]]) -> bytes:
    """CSV in UTF-8. Any text that a spreadsheet would run as a formula gets an apostrophe in front."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in found:
        writer.writerow({key: _no_formula(value) for key, value in row.items()})
    return text.getvalue().encode()


def _no_formula(value: Any) -> Any:
    return "'" + value if isinstance(value, str) and value.lstrip().startswith(("=", "+", "-", "@")) else value


def import_events(source: Path | str, folder: Path | str) -> dict[str, Any]:
    """Add the events of a file or folder to those of `folder`; events already there are left as they are.

    Raises:
        UserError: if there is nothing to read, something newer than this program, or no way to write.
    """
    place = Path(source)
    if place.is_dir():
        events, damage = read_events(place)
        size = len(events)
    else:
        events, damage = _file_events(place)
        size = len(events)
    log = EventLog(folder)
    with log.exclusive():
        before = Reader(log.folder)
        before.news()
        log.keep([event for event in events if event.id not in before.seen])
        return {"events": size, "added": sum(e.id not in before.seen for e in events), **damage.to_json()}


def _file_events(path: Path) -> tuple[list[Any], Damage]:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}).") from None
    damage = Damage()
    found = [parse(line, path.name) for line in data.split(b"\n") if line.strip()]
    bad = [number for number, event in enumerate(found, 1) if event is None]
    if bad:
        damage.unreadable[path.name] = bad
    events = {event.id: event for event in found if event is not None}
    if not events:
        raise UserError(f"{path} holds no rating events; give a file events-….jsonl, or a folder of them.")
    return list(events.values()), damage
