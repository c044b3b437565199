"""Recordings that a corpus names: which of them may be opened.

Corpora come from elsewhere, and what they name is served to visitors. So a recording must lie in the corpus's own
folder, be an ordinary file of a usual size, and be audio. This is found out when the index is made; what fails is not
in the index and is never opened. When it is heard, it must still be that file.
"""

import os
import stat
from pathlib import Path

from stsmt.audio import duration
from stsmt.errors import UserError

SUFFIXES = (".wav", ".flac", ".ogg", ".opus", ".mp3")
MAX_BYTES = 64 * 2**20  # a minute of the finest studio sound takes about half


def find_recording(name: str, base: Path, folder: Path) -> Path:
    """The real path of a recording that is named relative to `base`; it must lie in `folder`, links followed.

    Raises:
        UserError: if it lies elsewhere, is missing, is no ordinary file, too large, or no audio.
    """
    shown = name[:80]
    try:
        path = (base / name).resolve()
        if not path.is_relative_to(folder.resolve()):
            raise UserError(f"The recording {shown!r} lies outside {folder}; move it there.")
        found = path.stat()
    except (OSError, ValueError, RuntimeError):  # missing, a null byte, links in a circle
        raise UserError(f"The recording {shown!r} is missing or not audio that can be read; check the path.") from None
    if not stat.S_ISREG(found.st_mode) or path.suffix.lower() not in SUFFIXES:
        raise UserError(f"The recording {shown!r} is missing or not audio: give a file in {', '.join(SUFFIXES)}.")
    if found.st_size > MAX_BYTES:
        raise UserError(f"The recording {shown!r} is too large; at most {MAX_BYTES // 2**20} MiB are taken.")
    duration(path)  # reads its header
    return path


def read_recording(path: Path) -> bytes:
    """The bytes of a file that `find_recording` has found.

    Raises:
        UserError: if it is not there any more, or something else is in its place.
    """
    try:
        with open(path, "rb", opener=_open_plainly) as file:
            ordinary = stat.S_ISREG(os.fstat(file.fileno()).st_mode) and path.resolve() == path
            data = file.read(MAX_BYTES + 1) if ordinary else b""
    except (OSError, ValueError, RuntimeError):
        data = b""
    if not data or len(data) > MAX_BYTES or path.suffix.lower() not in SUFFIXES:
        raise UserError("The recording of this pair is not there any more.")
    return data


def _open_plainly(path: str, flags: int) -> int:
    """Neither follows a link nor waits for somebody at the other end of a pipe."""
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
