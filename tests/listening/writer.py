"""A process that appends events as fast as it can and prints those that are acknowledged (run with `python -m`)."""

import sys
from pathlib import Path

from stsmt.listening.events import Event, EventLog


def main(folder: Path, name: str) -> None:
    log = EventLog(folder)
    number = 0
    while True:
        event = Event("flag", name, {"number": number, "padding": "音" * (number % 700)}, f"{name}-{number:08d}")
        log.append(event)
        print(event.id, flush=True)
        number += 1


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
