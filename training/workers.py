"""Several utterances measured at once: in processes of one thread each, and in each of them in several conversations.

Conversations of a process share the passes of its language model (`stsmt.lm.together`).
"""

import argparse
import multiprocessing
import os
import queue
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any

from stsmt.errors import UserError
from training.measure import Bench, Item, Record, measure

POLL_SECONDS = 5.0  # how often it is looked whether a process still lives
Prepare = Callable[[argparse.Namespace], tuple[Bench, list[Item]]]


def check_counts(options: argparse.Namespace) -> None:
    """Raises:
    UserError: for less than one process or utterance at once.
    """
    for name in ("processes", "at_once"):
        if (count := getattr(options, name)) < 1:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1, not {count}.")


def measure_here(bench: Bench, items: Sequence[Item], at_once: int) -> Iterator[Record]:
    """Records in the order in which they are finished; each says how many others were measured beside it."""
    if at_once == 1:
        yield from (measure(bench, item) for item in items)
        return
    with ThreadPool(at_once) as pool:
        for record in pool.imap_unordered(lambda item: measure(bench, item), items):
            yield record | {"at_once": at_once}


def measure_all(
    bench: Bench, items: Sequence[Item], prepare: Prepare, options: argparse.Namespace, at_once: int
) -> Iterator[Record]:
    """As `measure_here`, in `options.processes` that share the items out; `prepare` is called in each of them.

    Raises:
        UserError: if one of them is killed.
    """
    if options.processes == 1:
        yield from measure_here(bench, items, at_once)
        return
    os.environ["OMP_NUM_THREADS"] = "1"  # before torch is loaded: threads that wait for each other take thrice the time
    context = multiprocessing.get_context("spawn")
    found: Any = context.Queue()
    keys = [item.key for item in items]
    shares = [keys[first :: options.processes] for first in range(options.processes)]
    workers = [context.Process(target=_work, args=(prepare, options, share, at_once, found)) for share in shares]
    try:
        for worker in workers:
            worker.start()
        for _ in keys:
            yield _next(found, workers)
    finally:
        for worker in workers:
            worker.terminate()
            worker.join()
        found.close()


def _next(found: Any, workers: Sequence[Any]) -> Record:
    while True:
        try:
            record = found.get(timeout=POLL_SECONDS)
        except queue.Empty:
            if any(worker.exitcode for worker in workers):
                raise UserError("A process that measures was killed; run the same command again to go on.") from None
            continue
        if isinstance(record, Exception):
            raise record
        return record


def _work(prepare: Prepare, options: argparse.Namespace, keys: Sequence[str], at_once: int, found: Any) -> None:
    try:
        bench, items = prepare(options)
        by_key = {item.key: item for item in items}
        for record in measure_here(bench, [by_key[key] for key in keys], at_once):
            found.put(record)
    except Exception as error:
        found.put(error)
