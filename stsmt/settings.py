"""Settings: the one place that reads the environment (`STSMT_*`).

Only entry points (`app.py`, the command line) read settings; everything below receives plain arguments.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from stsmt.errors import UserError

ROOT = Path(__file__).resolve().parent.parent
BUNDLED_MODEL = ROOT / "assets" / "embedded"
EXAMPLES = ROOT / "assets" / "examples"
CORPUS = ROOT / "assets" / "corpus" / "pairs.parquet"
ENGINES = ("transformers", "vllm")


@dataclass(frozen=True)
class Settings:
    """Where things are and how they run.

    `model`: a checkpoint folder, or `owner/name@revision` on the Hub. `engine`: what runs the language model.
    `db`: the corpus index. `ratings`: the folder of listening-test events. `ratings_repository`: the private dataset
    on the Hub that keeps a copy of them. `login`: whether visitors can log in (a Space with OAuth). `device`: a torch
    device. `at_once`: how many answers are made at the same time, while other visitors wait in line; they share the
    model's work, so that two take less time than one after the other, but each of them takes longer.
    """

    model: str = str(BUNDLED_MODEL)
    engine: str = "transformers"
    db: str = "corpus.duckdb"
    ratings: str = "ratings"
    ratings_repository: str = ""
    login: bool = False
    host: str = "127.0.0.1"
    port: int = 7860
    device: str = "cpu"
    at_once: int = 2

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise UserError(f"Unknown engine {self.engine!r} (STSMT_ENGINE); choose one of: {', '.join(ENGINES)}.")
        if not 0 <= self.port <= 65535:
            raise UserError(f"The port must be between 0 and 65535, not {self.port} (STSMT_PORT).")
        if self.at_once < 1:
            raise UserError(f"At least one answer must be made at once, not {self.at_once} (STSMT_AT_ONCE).")

    @classmethod
    def read(cls, environment: Mapping[str, str] | None = None) -> "Settings":
        """Defaults overridden by `STSMT_MODEL`, `STSMT_ENGINE`, `STSMT_DB`, `STSMT_RATINGS`, …

        Raises:
            UserError: for a value that cannot be used.
        """
        environment = os.environ if environment is None else environment
        names = ("model", "engine", "db", "ratings", "ratings_repository", "host", "device")
        given = {
            name: environment[f"STSMT_{name.upper()}"] for name in names if environment.get(f"STSMT_{name.upper()}")
        }
        login = bool(environment.get("OAUTH_CLIENT_ID"))  # set by a Space whose README.md says `hf_oauth: true`
        return cls(**given, login=login, port=_number(environment, "port"), at_once=_number(environment, "at_once"))


def _number(environment: Mapping[str, str], name: str) -> int:
    given = environment.get(f"STSMT_{name.upper()}") or str(getattr(Settings, name))
    if not given.isdecimal():
        raise UserError(f"STSMT_{name.upper()} must be a number, not {given!r}.")
    return int(given)
