"""The copy of the ratings on the Hub, with a Hub made of a folder."""

import contextlib
import time
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import HfApi
from huggingface_hub.errors import RepositoryNotFoundError

from stsmt.errors import UserError
from stsmt.listening.backup import Backup
from stsmt.listening.events import Event, EventLog, read_events


class FolderHub(HfApi):
    """Keeps "commits" in a folder; `broken` makes everything fail."""

    def __init__(self, folder: Path) -> None:
        super().__init__(token=False)
        self.folder, self.broken, self.made = folder, False, {}

    def create_repo(self, repo_id: str, **options: Any) -> Any:  # type: ignore[override]
        self.made = options
        self.folder.mkdir(exist_ok=True)
        return type("Url", (), {"repo_id": repo_id})()

    def snapshot_download(self, repo_id: str, *, local_dir: str, **options: Any) -> str:  # type: ignore[override]
        if self.broken:
            raise OSError("the network is down")
        if not self.folder.exists():
            raise _not_found()
        for path in self.folder.iterdir():
            (Path(local_dir) / path.name).write_bytes(path.read_bytes())
        return local_dir

    def create_commit(self, repo_id: str, operations: Any, **options: Any) -> Any:  # type: ignore[override]
        if self.broken:
            raise OSError("the network is down")
        for operation in operations:
            (self.folder / operation.path_in_repo).write_bytes(operation.path_or_fileobj.read())


def _not_found() -> Exception:
    error = RepositoryNotFoundError.__new__(RepositoryNotFoundError)
    Exception.__init__(error, "no such repository")
    return error


def open_log(folder: Path, hub: FolderHub) -> tuple[EventLog, Backup]:
    backup = Backup(folder, "somebody/ratings", api=hub, minutes=60)
    return EventLog(folder, guard=backup.lock), backup


def settle(backup: Backup) -> None:
    """Push now and wait for it, whether it works or not."""
    deadline = time.monotonic() + 20
    while backup.status().age is None and backup.status().failure is None and time.monotonic() < deadline:
        time.sleep(0.02)  # the scheduler's own first push
    with contextlib.suppress(OSError):
        backup.push().result()


def test_a_new_machine_finds_all_ratings_again(tmp_path: Path) -> None:
    hub = FolderHub(tmp_path / "hub")
    log, backup = open_log(tmp_path / "first", hub)
    assert hub.made["private"] is True and hub.made["repo_type"] == "dataset"
    log.append(Event("flag", "r", {"n": 1}))
    settle(backup)
    backup.stop()
    log, backup = open_log(tmp_path / "second", hub)
    assert backup.merged == 1
    log.append(Event("flag", "r", {"n": 2}))
    settle(backup)
    backup.stop()
    assert [event.data["n"] for event in read_events(tmp_path / "hub")[0]] == [1, 2]


def test_a_restart_on_the_same_disk_keeps_the_longer_file(tmp_path: Path) -> None:
    hub = FolderHub(tmp_path / "hub")
    log, backup = open_log(tmp_path / "here", hub)
    log.append(Event("flag", "r", {"n": 1}))
    settle(backup)
    log.append(Event("flag", "r", {"n": 2}))  # not pushed before the end
    backup.stop()
    _, backup = open_log(tmp_path / "here", hub)
    backup.stop()
    assert backup.merged == 0
    assert len(read_events(tmp_path / "here")[0]) == 2


def test_a_failed_push_is_seen_and_its_age_goes_on(tmp_path: Path) -> None:
    hub = FolderHub(tmp_path / "hub")
    log, backup = open_log(tmp_path / "here", hub)
    log.append(Event("flag", "r", {"n": 1}))
    settle(backup)
    assert backup.status().failure is None
    hub.broken = True
    log.append(Event("flag", "r", {"n": 2}))
    settle(backup)
    status = backup.status(clock=lambda: time.time() + 600)
    assert status.failure is not None and "network is down" in status.failure
    assert status.age is not None and status.age >= 600
    hub.broken = False
    settle(backup)
    assert backup.status().failure is None
    backup.stop()
    assert len(read_events(tmp_path / "hub")[0]) == 2


def test_without_the_earlier_ratings_it_does_not_start(tmp_path: Path) -> None:
    hub = FolderHub(tmp_path / "hub")
    hub.broken = True
    with pytest.raises(UserError, match="cannot be fetched"):
        Backup(tmp_path / "here", "somebody/ratings", api=hub)


def test_a_dataset_that_may_not_be_written_gets_a_sentence(tmp_path: Path) -> None:
    class Locked(FolderHub):
        def create_repo(self, repo_id: str, **options: Any) -> Any:  # type: ignore[override]
            raise OSError("401 Unauthorized")

    with pytest.raises(UserError, match=r"somebody/ratings cannot keep the ratings \(401 Unauthorized\); check"):
        Backup(tmp_path / "here", "somebody/ratings", api=Locked(tmp_path / "hub"))
