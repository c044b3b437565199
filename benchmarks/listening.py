"""The listening test under load: `python -m benchmarks.listening [--raters 50] [--ratings 40] [--kills 200]`.

All raters are simulated. Part one starts the app and lets them rate at once through the HTTP API, each with a client of
its own; part two kills writing processes with SIGKILL at random moments. The last line is one JSON document.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import gradio as gr
import numpy as np
from gradio_client import Client

from stsmt.listening.events import EventLog, read_events
from stsmt.listening.plan import make_plan
from stsmt.listening.protocol import ListeningTest
from stsmt.ui.listening_api import listening_endpoints
from tests.listening.corpus import Corpus

SECONDS = 0.1  # of each clip: the server is measured, not patience


def open_test(folder: Path, raters: int, ratings: int, overlap: int) -> ListeningTest:
    """As many pairs as are needed for all raters to have enough to do, and not one more."""
    corpus = Corpus(-(-raters * ratings // overlap), seconds=SECONDS)
    rates: dict[str, Any] = {"gold_rate": 0.0, "trap_rate": 0.0, "anchor_rate": 0.0}
    return ListeningTest(
        corpus, EventLog(folder), make_plan(corpus, "load", corpus.pair_ids(), overlap=overlap, **rates)
    )


def work(url: str, number: int, ratings: int) -> list[tuple[str, float]]:
    """One simulated rater; returns the acknowledged events and the seconds that each acknowledgement took."""
    client = Client(url, verbose=False)
    code = client.predict(f"simulated {number}", "both", True, api_name="/join")["code"]
    client.predict(code, "headphones", True, api_name="/check")
    done: list[tuple[str, float]] = []
    while len(done) < ratings:
        item = client.predict(code, api_name="/next_item")["item"]
        if item is None:
            break
        time.sleep(sum(item["seconds"].values()))
        played = {clip: [[0, seconds]] for clip, seconds in item["seconds"].items()}
        answer = {"scores": dict.fromkeys(item["questions"], 1 + number % 5)}
        start = time.perf_counter()
        receipt = client.predict(code, item["id"], answer, played, "", api_name="/rate")
        done.append((receipt["event"], time.perf_counter() - start))
    return done


def load(raters: int, ratings: int, overlap: int = 5) -> dict[str, Any]:
    """All raters at once; what was acknowledged must be stored, once, and no pair rated too often."""
    with tempfile.TemporaryDirectory() as folder:
        test = open_test(Path(folder), raters, ratings, overlap)
        with gr.Blocks() as app:
            listening_endpoints(test)
        app.queue()
        _, url, _ = app.launch(prevent_thread_lock=True, quiet=True)
        start = time.perf_counter()
        with ThreadPoolExecutor(raters) as pool:
            results = list(pool.map(lambda number: work(url, number, ratings), range(raters)))
        wall = time.perf_counter() - start
        app.close(verbose=False)
        stored = [event.id for event in read_events(folder)[0] if event.kind == "submit"]
        per_pair = Counter(rating.item.targets[0].pair_id for rating in test.ratings())
    acknowledged = [event for done in results for event, _ in done]
    took = np.array([seconds for done in results for _, seconds in done])
    return {
        "raters": raters,
        "acknowledged": len(acknowledged),
        "lost": len(set(acknowledged) - set(stored)),
        "doubled": len(stored) - len(set(stored)),
        "most_ratings_of_a_pair": max(per_pair.values()),
        "overlap": overlap,
        "seconds": round(wall, 1),
        "acknowledgement_ms": {f"p{p}": round(1000 * float(np.percentile(took, p)), 1) for p in (50, 95)},
    }


def kills(count: int) -> dict[str, Any]:
    """The test of the log with more kills."""
    name = "tests/listening/test_events.py::test_a_killed_process_loses_and_doubles_nothing_acknowledged"
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", name]
    start = time.perf_counter()
    run = subprocess.run(command, env={**os.environ, "STSMT_KILLS": str(count)}, check=False)
    return {"kills": count, "passed": run.returncode == 0, "seconds": round(time.perf_counter() - start, 1)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--raters", type=int, default=50)
    parser.add_argument("--ratings", type=int, default=40)
    parser.add_argument("--kills", type=int, default=200)
    options = parser.parse_args()
    found = {"load": load(options.raters, options.ratings), "kill": kills(options.kills) if options.kills else None}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
