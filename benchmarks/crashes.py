"""An app that is killed while people answer: `python -m benchmarks.crashes [--kills 200] [--raters 8]`.

The server of a listening test is started again and again, and ended with SIGKILL at a random moment under load. All
raters are simulated; after a crash each goes on where it was, and sends again, under the same event id, what was not
acknowledged. What was acknowledged must be in the log, once. The last line is one JSON document.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from collections import Counter
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any

import gradio as gr
import httpx
from gradio_client import Client
from gradio_client.exceptions import AppError

from benchmarks.listening import open_test
from stsmt.listening.events import read_events
from stsmt.listening.exchange import rows
from stsmt.ui.listening_api import listening_endpoints

UP_SECONDS = (0.2, 2.0)  # how long a server lives once it answers
FIRST_SECONDS = 60.0  # how long the first one is given to acknowledge something, on a machine however slow
OVERLAP = 4
Call = tuple[Any, ...]


def serve(folder: Path, raters: int, ratings: int) -> None:
    """Be the server: print the address and go on until killed."""
    with gr.Blocks() as app:
        listening_endpoints(open_test(folder, raters, ratings, OVERLAP))
    app.queue()
    _, url, _ = app.launch(prevent_thread_lock=True, quiet=True, show_error=True)
    print(url, flush=True)
    threading.Event().wait()


class Connection:
    """The server of the moment, shared by all raters; they wait while there is none."""

    def __init__(self) -> None:
        self._up, self._client, self.over = threading.Event(), None, False

    def open(self, url: str) -> None:
        self._client = Client(url, verbose=False)
        self._up.set()

    def close(self) -> None:
        self._up.clear()

    def call(self, endpoint: str, *arguments: Any) -> Any:
        """The answer, however many servers it takes; an error of the app itself is the caller's."""
        while not self.over:
            if not self._up.wait(0.1):
                continue
            client = self._client
            try:
                return client.predict(*arguments, api_name=endpoint)  # type: ignore[attr-defined]
            except AppError:
                if client is self._client and self._up.is_set():
                    raise  # not a call that was cut off
            except (httpx.HTTPError, CancelledError, OSError, ValueError, RuntimeError):  # the server has gone
                time.sleep(0.05)
        raise InterruptedError


def rate(connection: Connection, number: int, acknowledged: list[str], refused: list[str]) -> None:
    """One simulated rater, until the end."""
    try:
        code = connection.call("/join", f"simulated {number}", "both", True)["code"]
        connection.call("/check", code, "headphones", True)
        while (item := connection.call("/next_item", code)["item"]) is not None:
            time.sleep(sum(item["seconds"].values()))
            played = {clip: [[0, seconds]] for clip, seconds in item["seconds"].items()}
            answer = {"scores": dict.fromkeys(item["questions"], 1 + number % 5)}
            event = uuid.uuid4().hex
            assert connection.call("/rate", code, item["id"], answer, played, event)["event"] == event
            acknowledged.append(event)
    except InterruptedError:
        return
    except AppError as error:
        refused.append(str(error))


def crash(kills: int, raters: int, seed: int = 0) -> dict[str, Any]:
    """Kill and start again; returns what was acknowledged, and what of it the log holds."""
    rng, connection = random.Random(seed), Connection()
    acknowledged: list[str] = []
    refused: list[str] = []
    threads = [threading.Thread(target=rate, args=(connection, i, acknowledged, refused)) for i in range(raters)]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "benchmarks.crashes", "--serve", folder]
        command += ["--raters", str(raters), "--kills", str(kills)]
        for thread in threads:
            thread.start()
        for _ in range(kills):
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
                assert server.stdout is not None
                connection.open(server.stdout.readline().strip())
                await_first(acknowledged)
                time.sleep(rng.uniform(*UP_SECONDS))
                connection.close()
                server.kill()
        connection.over = True
        for thread in threads:
            thread.join()
        return {
            "kills": kills,
            "raters": raters,
            **_found(Path(folder), acknowledged),
            "refused": refused,
            "seconds": round(time.perf_counter() - start, 1),
        }


def await_first(acknowledged: list[str]) -> None:
    """Wait until anything was acknowledged."""
    given_up = time.monotonic() + FIRST_SECONDS
    while not acknowledged and time.monotonic() < given_up:
        time.sleep(0.05)


def _found(folder: Path, acknowledged: list[str]) -> dict[str, Any]:
    events, damage = read_events(folder)
    stored = [event.id for event in events if event.kind == "submit"]
    lines = [line for path in folder.glob("events-*.jsonl") for line in path.read_bytes().splitlines() if line.strip()]
    per_pair = Counter(row["pair_id"] for row in rows(folder)[0])
    return {
        "acknowledged": len(acknowledged),
        "lost": len(set(acknowledged) - set(stored)),
        "doubled": len(lines) - len(damage.torn) - sum(map(len, damage.unreadable.values())) - len(events),
        "torn_lines": len(damage.torn) + sum(map(len, damage.unreadable.values())),
        "most_ratings_of_a_pair": max(per_pair.values(), default=0),
        "overlap": OVERLAP,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--raters", type=int, default=8)
    parser.add_argument("--serve", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve, options.raters, max(10, 2 * options.kills))
    else:
        print(json.dumps(crash(options.kills, options.raters)))


if __name__ == "__main__":
    main()
