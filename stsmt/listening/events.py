"""The log of events: JSON lines that are only ever appended, one file per process, readable by many.

An event counts as acknowledged when `EventLog.append` returns: its line has then reached the disk (fsync). A process
that dies leaves at most one torn last line, which was never acknowledged; readers pass over it and report it.
"""

import errno
import json
import os
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from stsmt.errors import UserError

VERSION = 1  # of the lines; a reader refuses newer ones, because it would misread them
PATTERN = "events-*.jsonl"
ID = re.compile(r"[0-9A-Za-z_-]{8,64}")
LOCK_SECONDS = 30.0
TICK = 1e-6  # seconds between two events at least, so that their order is that of their times
REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "the file has reached the size limit",
    errno.EROFS: "the folder is read-only",
    errno.EACCES: "the folder may not be written",
    errno.EPERM: "the folder may not be written",
}


@dataclass(frozen=True)
class Event:
    """Something that happened: its kind, the rater's id, and data that JSON can hold.

    `id` makes it unique: an event appended again is not doubled. `at`, in seconds since 1970, is set by the log.
    """

    kind: str
    rater: str
    data: dict[str, Any]
    id: str = field(default_factory=lambda: uuid.uuid4().hex)
    at: float = 0.0

    def line(self) -> bytes:
        """One line of ASCII, so that no character of a comment can break or hide anything."""
        fields = {"v": VERSION, "id": self.id, "at": self.at, "kind": self.kind, "rater": self.rater, "data": self.data}
        return json.dumps(fields, allow_nan=False, separators=(",", ":")).encode("ascii") + b"\n"


@dataclass
class Damage:
    """What could not be read: bytes of a torn last line and numbers of unreadable lines, by file name."""

    torn: dict[str, int] = field(default_factory=dict)
    unreadable: dict[str, list[int]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        return {"torn": dict(self.torn), "unreadable": {name: list(lines) for name, lines in self.unreadable.items()}}


def parse(line: bytes, name: str) -> Event | None:
    """The event of a line, or None for one that is none.

    Raises:
        UserError: if a newer version of the program wrote it.
    """
    try:
        found = json.loads(line)
        version = int(found["v"])
        if version > VERSION:
            raise UserError(
                f"{name} was written by a newer version of stsmt (schema {version}, this one reads {VERSION}); "
                "update stsmt."
            )
        event = Event(
            str(found["kind"]), str(found["rater"]), dict(found["data"]), str(found["id"]), float(found["at"])
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return event if ID.fullmatch(event.id) else None


class Reader:
    """Reads all event files of a folder, and later only what has been added to them; each event comes once."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.damage = folder, Damage()
        self.seen: set[str] = set()
        self._offsets: dict[Path, int] = {}
        self._lines: dict[Path, int] = {}

    def news(self) -> list[Event]:
        """What was added since the last call, in the order of time.

        Raises:
            UserError: if a file cannot be read, or is newer than this program.
        """
        found: dict[str, Event] = {}
        for path in sorted(self.folder.glob(PATTERN)):
            for event in self._added(path):
                if event.id not in self.seen:
                    found.setdefault(event.id, event)
        self.seen.update(found)
        return sorted(found.values(), key=lambda event: (event.at, event.id))

    def _added(self, path: Path) -> Iterator[Event]:
        start = self._offsets.get(path, 0)
        try:
            if path.stat().st_size <= start:
                return
            with path.open("rb") as file:
                file.seek(start)
                data = file.read()
        except OSError as error:
            raise UserError(f"{path.name} cannot be read ({error.strerror}); check the folder of ratings.") from None
        whole, torn = data[: data.rfind(b"\n") + 1], len(data) - data.rfind(b"\n") - 1
        events = list(self._events(whole, path))
        self._offsets[path] = start + len(whole)
        self.damage.torn.pop(path.name, None)
        if torn:
            self.damage.torn[path.name] = torn
        yield from events

    def _events(self, data: bytes, path: Path) -> Iterator[Event]:
        number = self._lines.get(path, 0)
        for line in data.splitlines():
            number += 1
            event = parse(line, path.name)
            if event is None:
                self.damage.unreadable.setdefault(path.name, []).append(number)
            else:
                yield event
        self._lines[path] = number


def read_events(folder: Path | str) -> tuple[list[Event], Damage]:
    """Everything in a folder, in the order of time, without taking its lock; and what could not be read.

    Raises:
        UserError: if there is no such folder, or a file is unreadable or newer than this program.
    """
    place = Path(folder)
    if not place.is_dir():
        raise UserError(f"There are no ratings in {folder}: the folder does not exist.")
    reader = Reader(place)
    return reader.news(), reader.damage


class EventLog:
    """The log as a process that writes sees it.

    Several processes may write into one folder; `exclusive` makes "look, then decide, then append" one step among all
    of them. `guard` is held while a file is written (the lock of a `CommitScheduler`).
    """

    def __init__(
        self,
        folder: Path | str,
        *,
        guard: AbstractContextManager[Any] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.folder, self._guard, self._clock = Path(folder), guard or nullcontext(), clock
        with _writing(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        self._reader = Reader(self.folder)
        self._thread = threading.RLock()
        self._process = FileLock(self.folder / ".lock", timeout=LOCK_SECONDS, poll_interval=0.005, thread_local=False)
        self._file: Path | None = None
        self._size = 0
        self._last = self._ahead = 0.0

    @property
    def damage(self) -> Damage:
        return self._reader.damage

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """One thread of one process at a time; may be nested.

        Raises:
            UserError: if the lock cannot be had.
        """
        with self._thread:
            try:
                self._process.acquire()
            except Timeout:
                raise UserError("The folder of ratings is busy; please try again in a moment.") from None
            except OSError as error:
                raise UserError(_sentence(self.folder, error)) from None
            try:
                yield
            finally:
                self._process.release()

    def now(self) -> float:
        """Seconds since 1970 by the clock that is furthest ahead among those who write: never before the last event."""
        return max(self._clock() + self._ahead, self._last)

    def news(self) -> list[Event]:
        """Events that this object has not given yet, of all processes."""
        with self._thread:
            found = self._reader.news()
            self._last = max([self._last, *(event.at for event in found)])
            self._ahead = max(self._ahead, self._last - self._clock())
            return found

    def everything(self) -> list[Event]:
        """All events again, in the order of time."""
        return Reader(self.folder).news()

    def knows(self, event_id: str) -> bool:
        """Whether an event has been read or written; call it within `exclusive`, after `news`."""
        return event_id in self._reader.seen

    def append(self, *events: Event) -> list[Event]:
        """Write events to the disk and read them back; those already known are left out.

        Raises:
            UserError: if they cannot be written; then none of them is acknowledged, and nothing before is lost.
        """
        with self.exclusive():
            news = self.news()
            fresh = [event for event in events if not self.knows(event.id)]
            if fresh:
                with self._guard, _writing(self.folder):
                    self._write(b"".join(event.line() for event in self._stamped(fresh)))
            return news + self.news()

    def keep(self, events: Iterable[Event]) -> None:
        """Write events of another log with the times that they have.

        Raises:
            UserError: if they cannot be written.
        """
        data = b"".join(event.line() for event in events)
        if data:
            with self.exclusive(), self._guard, _writing(self.folder):
                self._write(data)

    def _stamped(self, events: Iterable[Event]) -> Iterator[Event]:
        at = self.now()
        for event in events:
            at = round(at + TICK, 6)
            yield replace(event, at=at)

    def _write(self, data: bytes) -> None:
        """Append and fsync. After a failure the file may end in a torn line, so the next event starts a new one."""
        path = self._file or self.folder / f"events-{uuid.uuid4().hex}.jsonl"
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            self._file = path
            written = 0
            while written < len(data):
                written += os.write(descriptor, data[written:])
            os.fsync(descriptor)
            if not self._size:
                _sync_folder(self.folder)
            self._size += len(data)
        except OSError:
            if os.fstat(descriptor).st_size != self._size:
                self._file, self._size = None, 0
            raise
        finally:
            os.close(descriptor)


def _sync_folder(folder: Path) -> None:
    """Make the name of a new file last, too (a folder cannot be opened on Windows, which needs no such thing)."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(_sentence(folder, error)) from None


def _sentence(folder: Path, error: OSError) -> str:
    reason = REASONS.get(error.errno or 0, error.strerror or "unknown reason")
    return (
        f"This could not be saved: {reason}. Earlier ratings are safe; tell the people who run the test, and try again."
    )
