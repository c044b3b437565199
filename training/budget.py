"""Training against the clock: a time budget, its progress bar, and checkpoints that can be resumed."""

import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from training.parallel import agree

SAVE_EVERY_SECONDS = 240
WARMUP_SHARE = 0.02
REPORT_EVERY = 5  # steps
BAR = "{desc}: {percentage:3.0f}%|{bar:20}| {n:.0f} of {total:.0f} s{postfix}"
FINAL_RATE = 0.02  # learning rate at the end, as a share of the peak


class Budget:
    """Iterates over steps until `minutes` of training are spent, also over several runs.

    `state` holds what `save` writes (modules, optimisers: anything with state_dict). Learning rates follow the time:
    a short linear warm-up to `peak`, then a cosine. `again` starts a new schedule from the last checkpoint: a full
    rate undoes much of what a long training has found, so it wants a lower peak. Of several processes (`rank`) the
    first one keeps the time and saves.
    """

    def __init__(
        self,
        path: Path,
        *,
        minutes: float,
        state: dict[str, Any],
        name: str,
        again: bool = False,
        peak: float = 1.0,
        rank: int = 0,
    ) -> None:
        self.path, self.minutes, self.state, self.peak, self.rank = path, minutes, state, peak, rank
        self.step, self.seconds = 0, 0.0
        self.log: dict[str, float] = {}
        if path.exists():
            self._load()
        if again:
            self.seconds = 0.0
        total = round(minutes * 60)
        spent = min(total, round(self.seconds))  # what was given before may be more than what is given now
        self._bar = tqdm(total=total, initial=spent, desc=name, disable=rank > 0, bar_format=BAR)

    def _load(self) -> None:
        saved = torch.load(self.path, map_location="cpu", weights_only=True)
        self.step, self.seconds = saved["step"], saved["seconds"]
        for name, thing in self.state.items():
            if name in saved:
                thing.load_state_dict(saved[name])

    def save(self) -> None:
        """Write the checkpoint; an interrupted write leaves the old one."""
        if self.rank:
            return
        temporary = self.path.with_suffix(".tmp")
        states = {name: thing.state_dict() for name, thing in self.state.items()}
        torch.save(states | {"step": self.step, "seconds": self.seconds}, temporary)
        temporary.rename(self.path)

    @property
    def progress(self) -> float:
        """Share of the budget that is spent, 0 to 1."""
        return min(1.0, self.seconds / (self.minutes * 60))

    @property
    def rate(self) -> float:
        """Learning-rate factor now."""
        warm = min(1.0, (self.progress + 1e-4) / WARMUP_SHARE)
        return self.peak * warm * (FINAL_RATE + (1 - FINAL_RATE) * 0.5 * (1 + math.cos(math.pi * self.progress)))

    def steps(self) -> Iterator[int]:
        """Step numbers until the time is spent; saves now and then and at the end."""
        saved = last = time.monotonic()
        while self.progress < 1:
            yield self.step
            self.step += 1
            now = time.monotonic()
            self.seconds = agree(self.seconds + now - last)
            self._bar.update(min(now - last, self._bar.total - self._bar.n))
            self._bar.set_postfix({"step": self.step} | self.log)
            last = now
            if now - saved > SAVE_EVERY_SECONDS:
                self.save()
                saved = last = time.monotonic()
        self.save()
        self._bar.close()

    def report(self, **values: float | Tensor) -> None:
        """Show running means of losses beside the bar, of those that are numbers.

        Every few steps only: to read a number is to wait for the GPU.
        """
        if self.step % REPORT_EVERY:
            return
        for name, value in values.items():
            if (number := torch.as_tensor(value).item()) == number:
                self.log[name] = round(0.97 * self.log.get(name, number) + 0.03 * number, 4)
