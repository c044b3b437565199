"""The log: what is acknowledged is never lost or doubled, whatever happens to the process or the disk."""

import json
import os
import random
import resource
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

from stsmt.errors import UserError
from stsmt.listening.events import Event, EventLog, Reader, read_events
from stsmt.listening.exchange import import_events
from stsmt.settings import ROOT

KILLS = int(os.environ.get("STSMT_KILLS", "20"))


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("events-*.jsonl"))


def event(number: int, kind: str = "flag") -> Event:
    return Event(kind, "r", {"number": number}, f"event-{number:04d}")


# -- writing and reading ---------------------------------------------------------------------------------------------


def test_what_was_written_is_read_in_order_with_rising_times(tmp_path: Path) -> None:
    log = EventLog(tmp_path, clock=lambda: 5.0)
    for number in range(3):
        log.append(event(number))
    found, damage = read_events(tmp_path)
    assert [e.data["number"] for e in found] == [0, 1, 2]
    assert found[0].at < found[1].at < found[2].at
    assert not damage.torn and not damage.unreadable


def test_time_goes_on_after_an_event_from_a_clock_that_is_ahead(tmp_path: Path) -> None:
    now = [100.0]
    EventLog(tmp_path, clock=lambda: 5000.0).append(event(1))
    log = EventLog(tmp_path, clock=lambda: now[0])
    log.append(event(2))
    now[0] += 60
    log.append(event(3))
    first, second, third = read_events(tmp_path)[0]
    assert second.at > first.at
    assert third.at - second.at == pytest.approx(60, abs=0.001)


def test_the_same_event_again_is_not_doubled(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.append(event(1))
    assert log.append(event(1)) == []
    EventLog(tmp_path).append(event(1))
    assert len(read_events(tmp_path)[0]) == 1


def test_a_folder_copied_twice_gives_each_event_once(tmp_path: Path) -> None:
    EventLog(tmp_path).append(event(1))
    (tmp_path / "events-copy.jsonl").write_bytes(files(tmp_path)[0].read_bytes())
    assert len(read_events(tmp_path)[0]) == 1


def test_a_torn_last_line_is_passed_over_and_reported(tmp_path: Path) -> None:
    log = EventLog(tmp_path)
    log.append(event(1), event(2))
    path = files(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-5])
    found, damage = read_events(tmp_path)
    assert [e.data["number"] for e in found] == [1]
    assert list(damage.torn) == [path.name]
    EventLog(tmp_path).append(event(3))
    assert [e.data["number"] for e in read_events(tmp_path)[0]] == [1, 3]


def test_an_unreadable_line_loses_nothing_else(tmp_path: Path) -> None:
    EventLog(tmp_path).append(event(1), event(2), event(3))
    path = files(tmp_path)[0]
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(lines[0] + b"\0\0\0\0\n" + b"[" * 100_000 + b"\n" + lines[2])
    found, damage = read_events(tmp_path)
    assert [e.data["number"] for e in found] == [1, 3]
    assert damage.unreadable == {path.name: [2, 3]}


def test_a_newer_log_is_refused_with_a_sentence(tmp_path: Path) -> None:
    EventLog(tmp_path).append(event(1))
    path = files(tmp_path)[0]
    path.write_text(json.dumps({**json.loads(path.read_text()), "v": 2}) + "\n")
    with pytest.raises(UserError, match="newer version of stsmt"):
        read_events(tmp_path)


def test_no_folder_gets_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no ratings"):
        read_events(tmp_path / "nowhere")


@pytest.mark.parametrize(
    "text",
    ["<script>alert(1)</script>", "'; DROP TABLE ratings; --", "\u202eabc\u2066", "a\u2028b\nc\x00", "音" * 33_000],
)
def test_any_text_stays_on_its_own_line(tmp_path: Path, text: str) -> None:
    log = EventLog(tmp_path)
    log.append(Event("flag", "r", {"comment": text}))
    log.append(event(2))
    assert files(tmp_path)[0].read_bytes().count(b"\n") == 2
    assert files(tmp_path)[0].read_bytes().isascii()
    assert read_events(tmp_path)[0][0].data["comment"] == text


# -- several processes -----------------------------------------------------------------------------------------------


def test_two_logs_on_one_folder_see_each_other(tmp_path: Path) -> None:
    one, two = EventLog(tmp_path), EventLog(tmp_path)
    one.append(event(1))
    assert [e.data["number"] for e in two.news()] == [1]
    two.append(event(2))
    assert [e.data["number"] for e in one.news()] == [2]
    assert len(files(tmp_path)) == 2


def test_imported_events_are_added_once_and_keep_their_times(tmp_path: Path) -> None:
    EventLog(tmp_path / "there", clock=lambda: 7.0).append(event(1), event(2))
    EventLog(tmp_path / "here", clock=lambda: 9.0).append(event(1))
    assert import_events(tmp_path / "there", tmp_path / "here")["added"] == 1
    assert import_events(files(tmp_path / "there")[0], tmp_path / "here")["added"] == 0
    found, _ = read_events(tmp_path / "here")
    assert [(e.data["number"], round(e.at)) for e in found] == [(2, 7), (1, 9)]


def writer(folder: Path, name: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "tests.listening.writer", str(folder), name]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT)


def test_a_killed_process_loses_and_doubles_nothing_acknowledged(tmp_path: Path) -> None:
    """kill −9 at random moments, two processes at a time on one folder."""
    chance, acknowledged = random.Random(0), []
    for kill in range(0, KILLS, 2):
        running = [writer(tmp_path, f"w{kill + i:04d}") for i in range(2)]
        first = [process.stdout.readline() for process in running]  # type: ignore[union-attr]
        time.sleep(chance.random() * 0.3)
        for process in running:
            process.kill()
        for line, process in zip(first, running):
            acknowledged += [line, *process.communicate()[0].splitlines(keepends=True)]
    sure = {line.strip() for line in acknowledged if line.endswith("\n")}
    found = [e.id for e in Reader(tmp_path).news()]
    assert len(sure) >= KILLS
    assert sure <= set(found)
    lines = [
        json.loads(line)["id"] for path in files(tmp_path) for line in path.read_bytes().splitlines() if whole(line)
    ]
    assert len(lines) == len(set(lines)) == len(found)


def whole(line: bytes) -> bool:
    return line.endswith(b"}}")


# -- disks -----------------------------------------------------------------------------------------------------------


def in_subprocess(code: str, folder: Path) -> str:
    """Run code that limits its own process; returns what it prints."""
    script = textwrap.dedent(code)
    run = subprocess.run(
        [sys.executable, "-c", script, str(folder)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    return run.stdout


def test_a_full_disk_gets_a_sentence_and_what_was_there_stays(tmp_path: Path) -> None:
    """A file that may not grow behaves like a disk that is full: the last write is torn."""
    assert hasattr(resource, "RLIMIT_FSIZE")
    out = in_subprocess(
        """
        import resource, sys
        from stsmt.errors import UserError
        from stsmt.listening.events import Event, EventLog
        log = EventLog(sys.argv[1])
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
        done = 0
        try:
            while True:
                log.append(Event("flag", "r", {"number": done}, f"event-{done:04d}"))
                done += 1
        except UserError as error:
            print(done, error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        log.append(Event("flag", "r", {"number": done}, f"event-{done:04d}"))
        """,
        tmp_path,
    )
    done, sentence = out.split(" ", 1)
    assert "could not be saved" in sentence and "Traceback" not in sentence
    found, damage = read_events(tmp_path)
    assert [e.data["number"] for e in found] == list(range(int(done) + 1))
    assert damage.torn


def test_a_read_only_folder_gets_a_sentence(tmp_path: Path) -> None:
    EventLog(tmp_path).append(event(1))
    out = in_subprocess(
        """
        import os, sys
        from stsmt.errors import UserError
        from stsmt.listening.events import Event, EventLog
        log = EventLog(sys.argv[1])
        os.chmod(sys.argv[1], 0o555)
        if os.geteuid() == 0:
            os.setuid(65534)
        for attempt in (lambda: log.append(Event("flag", "r", {})), lambda: EventLog(sys.argv[1] + "/new")):
            try:
                attempt()
            except UserError as error:
                print(error)
        """,
        tmp_path,
    )
    assert out.count("could not be saved") == 2
    assert len(read_events(tmp_path)[0]) == 1
