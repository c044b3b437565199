"""A copy of the event files on the Hub, for places that forget their disk (Spaces): a private dataset.

The Hub's `CommitScheduler` pushes and never pulls, and only logs its failures; so what is there is fetched and merged
first, and the age of the last good push and the last failure can be asked for.
"""

import shutil
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from huggingface_hub import CommitScheduler, HfApi
from huggingface_hub.errors import HfHubHTTPError, RepositoryNotFoundError

from stsmt.errors import UserError
from stsmt.listening.events import PATTERN

MINUTES = 2.0  # a Space that is killed forgets what was not pushed; the Hub allows about a commit per minute


@dataclass(frozen=True)
class BackupStatus:
    """`age`: seconds since the last good push, None before the first; `failure`: why the last try failed, or None."""

    where: str
    age: float | None
    failure: str | None

    def to_json(self) -> dict[str, Any]:
        return dict(vars(self))


class _Scheduler(CommitScheduler):
    """Remembers how each push went."""

    pushed_at: float | None = None
    failure: str | None = None

    def push_to_hub(self) -> Any:
        try:
            result = super().push_to_hub()
        except Exception as error:
            self.failure = f"{type(error).__name__}: {error}".splitlines()[0][:200]
            raise
        self.pushed_at, self.failure = time.time(), None
        return result


class Backup:
    """Keeps a folder of events on the Hub. `lock` must be held while a file of the folder is written."""

    def __init__(
        self, folder: Path | str, repository: str, *, minutes: float = MINUTES, api: HfApi | None = None
    ) -> None:
        self._api, self.repository, self.folder = api or HfApi(), repository, Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.merged = pull(self._api, repository, self.folder)
        options: dict[str, Any] = {"allow_patterns": PATTERN, "every": minutes, "hf_api": self._api}
        try:
            self._scheduler = _Scheduler(
                repo_id=repository, repo_type="dataset", private=True, folder_path=self.folder, **options
            )
        except (HfHubHTTPError, OSError, ValueError) as error:  # no token, a wrong one, or a name that cannot be
            reason = " ".join(str(error).split())[:160]
            raise UserError(
                f"The dataset {repository} cannot keep the ratings ({reason}); "
                "check STSMT_RATINGS_REPOSITORY and HF_TOKEN."
            ) from None
        self.lock = self._scheduler.lock

    def push(self) -> Future[Any]:
        """Push now, in the background."""
        return self._scheduler.trigger()

    def stop(self) -> None:
        """No more pushes."""
        self._scheduler.stop()

    def status(self, clock: Callable[[], float] = time.time) -> BackupStatus:
        """How the backup stands."""
        at = self._scheduler.pushed_at
        return BackupStatus(self.repository, None if at is None else clock() - at, self._scheduler.failure)


def pull(api: HfApi, repository: str, folder: Path) -> int:
    """Fetch event files that are not here, or longer there (files only ever grow); returns how many.

    Raises:
        UserError: if the Hub cannot be read: going on would look as if nobody had rated yet.
    """
    with tempfile.TemporaryDirectory() as spare:
        try:
            api.snapshot_download(repository, repo_type="dataset", allow_patterns=PATTERN, local_dir=spare)
        except RepositoryNotFoundError:
            return 0  # the first start: the scheduler makes it
        except (HfHubHTTPError, OSError) as error:
            raise UserError(f"Earlier ratings cannot be fetched from {repository}: {error}") from None
        return sum(_merge(file, folder / file.name) for file in sorted(Path(spare).glob(PATTERN)))


def _merge(theirs: Path, ours: Path) -> bool:
    if ours.exists() and ours.stat().st_size >= theirs.stat().st_size:
        return False
    part = ours.with_suffix(".part")
    shutil.copyfile(theirs, part)
    part.replace(ours)
    return True
