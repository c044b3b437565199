"""Take a run to another machine and back in small files.

    python -m training.cargo pack --work runs/embedded --out cargo --speech-mib 25
    python -m training.cargo unpack --work runs/gpu --out cargo

`pack` writes the parts of a run into `--out` as pieces of at most 16 MiB, which is what many places let pass, with a
list of their digests; `unpack` joins them. Speech travels as Opus, as many shards as fit; checkpoints (`*.pt`) travel
in bfloat16, half as large, which a training goes on from as well. A rented GPU then needs no speech synthesis, though
the codec is better trained on speech that was spoken there (`training.synthesise --known`):
`training.embedded --device cuda` finds the codes and cues made and trains what is left.
"""

import argparse
import hashlib
import json
import sys
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from stsmt.errors import UserError, stated_errors
from training.pack import PHONES_FILE
from training.speech import list_shards, read_shard, write_opus

PIECE_BYTES = 16 * 2**20
LIST = "cargo.json"
DONE = ("codes.done", "joint.done", "encoder.done", "new-codes.done", "judge.done", "speech/done")
USUAL = ("codes.parquet", "cues.parquet", PHONES_FILE, "lm", "codec", *DONE)


def pack(work: Path, out: Path, parts: Iterable[str], *, speech_bytes: int = 0, piece_bytes: int = PIECE_BYTES) -> int:
    """Write `parts` of `work` (files and folders; those that are not there are left out) as pieces; returns how many.

    Raises:
        UserError: if `work` holds none of the parts, or `out` holds something.
    """
    found = [name for name in parts if (work / name).exists()]
    if not found:
        raise UserError(f"{work} holds nothing of what is to be packed ({', '.join(parts)}).")
    if out.exists() and any(out.iterdir()):
        raise UserError(f"{out} is not empty; give another --out or remove it.")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as room:
        whole = Path(room) / "cargo.tar"
        with tarfile.open(whole, "w") as tar:
            for name in found:
                tar.add(_small(work / name, Path(room)), name)
            for path, name in _small_speech(work / "speech", Path(room), speech_bytes):
                tar.add(path, name)
        return _cut(whole, out, piece_bytes)


def _small(path: Path, room: Path) -> Path:
    """The file itself, or a copy of a checkpoint in bfloat16."""
    if path.suffix != ".pt":
        return path
    torch.save(_halved(torch.load(path, map_location="cpu", weights_only=True)), room / path.name)
    return room / path.name


def _halved(value: Any) -> Any:
    """Nested state with its float tensors in bfloat16; single numbers, such as counts of steps, stay exact."""
    if isinstance(value, dict):
        return {key: _halved(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_halved(inner) for inner in value]
    if isinstance(value, torch.Tensor) and value.dtype == torch.float32 and value.numel() > 1:
        return value.to(torch.bfloat16)
    return value


def _small_speech(folder: Path, room: Path, limit: int) -> Iterator[tuple[Path, str]]:
    """(file, name in the cargo) of the first shards as Opus and their lists, in all at most `limit` bytes."""
    if not limit:
        return
    size = 0
    for shard in tqdm(list_shards(folder), desc="Opus", file=sys.stderr):
        opus, listing = room / f"{shard.stem}.opus", shard.with_suffix(".json")
        write_opus(opus, read_shard(shard))
        size += opus.stat().st_size + listing.stat().st_size
        if size > limit:
            return
        yield opus, f"speech/{opus.name}"
        yield listing, f"speech/{listing.name}"


def _cut(whole: Path, out: Path, piece_bytes: int) -> int:
    digests: dict[str, str] = {}
    with whole.open("rb") as file:
        while data := file.read(piece_bytes):
            name = f"cargo.{len(digests):03d}"
            (out / name).write_bytes(data)
            digests[name] = hashlib.sha256(data).hexdigest()
    (out / LIST).write_text(json.dumps(digests, indent=1), encoding="utf-8")
    return len(digests)


def unpack(out: Path, work: Path) -> list[str]:
    """Put what `out` holds into `work`, over what is there; returns the names of the files.

    Raises:
        UserError: if a piece is missing or damaged (then nothing is written).
    """
    listing = out / LIST
    if not listing.is_file():
        raise UserError(f"There is no {LIST} in {out}; give the folder that pack has written.")
    with tempfile.TemporaryDirectory() as room:
        whole = Path(room) / "cargo.tar"
        with whole.open("wb") as file:
            for name, digest in json.loads(listing.read_text(encoding="utf-8")).items():
                data = (out / name).read_bytes() if (out / name).is_file() else b""
                if hashlib.sha256(data).hexdigest() != digest:
                    raise UserError(f"The piece {out / name} is missing or damaged; copy it again.")
                file.write(data)
        work.mkdir(parents=True, exist_ok=True)
        with tarfile.open(whole) as tar:
            tar.extractall(work, filter="data")
            return [member.name for member in tar if member.isfile()]


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("pack", "unpack"))
    parser.add_argument("--work", type=Path, default=Path("runs/embedded"), help="folder of the run")
    parser.add_argument("--out", type=Path, required=True, help="folder of the pieces")
    parser.add_argument("--parts", nargs="+", default=USUAL, help="what to pack (default: %(default)s)")
    parser.add_argument("--speech-mib", type=float, default=0, help="how much speech to pack along (default: none)")
    a = parser.parse_args(arguments)
    with stated_errors():
        if a.what == "pack":
            print(f"{pack(a.work, a.out, a.parts, speech_bytes=int(a.speech_mib * 2**20))} pieces in {a.out}")
        else:
            print(f"{len(unpack(a.out, a.work))} files in {a.work}")


if __name__ == "__main__":
    main()
