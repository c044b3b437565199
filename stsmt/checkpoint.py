"""Find a checkpoint (folder or Hub reference) and turn what can be wrong with one into sentences."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stsmt.errors import UserError

PROMPT_FILE = "prompt.json"


def locate(reference: str | Path) -> Path:
    """The folder of `reference`: a local folder, or `owner/name[@revision]`, which is downloaded once and cached.

    Raises:
        UserError: if there is no such folder and the Hub does not give it.
    """
    folder = Path(reference)
    if folder.is_dir():
        return folder
    name, _, revision = str(reference).partition("@")
    if folder.exists() or not _is_hub_name(name):
        raise UserError(f"There is no checkpoint folder {reference}; give a folder, or owner/name@revision on the Hub.")
    return _download(name, revision or None)


def _is_hub_name(name: str) -> bool:
    parts = name.split("/")
    return len(parts) == 2 and all(part and part[0].isalnum() for part in parts)


def _download(name: str, revision: str | None) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    at = f"{name}@{revision}" if revision else name
    try:
        return Path(snapshot_download(name, revision=revision))
    except (HFValidationError, HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise UserError(
            f"{at} is neither a folder here nor to be had from the Hugging Face Hub ({type(error).__name__}); "
            "check the name, the revision and the network, or give a folder."
        ) from None


def revision_of(folder: Path) -> str:
    """The one line of the file `revision`; for a Hub snapshot its commit; else "unknown"."""
    file = folder / "revision"
    if file.is_file():
        return file.read_text(encoding="utf-8").strip()
    return folder.name if folder.parent.name == "snapshots" else "unknown"


def read_config(folder: Path, model_type: str, what: str) -> dict[str, Any]:
    """`config.json` of a model folder, which must be of `model_type`.

    Raises:
        UserError: if it is missing, broken, or of another architecture; `what` names the part in the sentence.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        found = config.get("model_type")
    except FileNotFoundError:
        raise UserError(f"{folder} holds no {what}: its config.json is missing; export the checkpoint again.") from None
    except (ValueError, AttributeError, OSError):
        raise UserError(f"The config.json in {folder} is not readable; export the checkpoint again.") from None
    if found != model_type:
        raise UserError(f"The {what} in {folder} is of architecture {found!r}; {model_type!r} is needed.")
    return config


def read_prompt(folder: Path) -> dict[str, Any]:
    """`prompt.json` of a checkpoint folder.

    Raises:
        UserError: if it is missing or broken.
    """
    try:
        data = json.loads((folder / PROMPT_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"No {PROMPT_FILE} in {folder}: not an stsmt checkpoint, or only half of one.") from None
    except ValueError as error:
        raise UserError(f"{folder / PROMPT_FILE} is not valid JSON ({error}).") from None
    if not isinstance(data, dict):
        raise UserError(f"{folder / PROMPT_FILE} must hold one JSON object; repair or re-export it.")
    return data


def load_weights(loader: Any, folder: Path, what: str, **options: Any) -> Any:
    """`loader.from_pretrained(folder)` of a transformers class, but never with weights drawn at random.

    Raises:
        UserError: if weights are missing, cut off, corrupt or of other shapes.
    """
    with loading(folder, what):
        model, info = loader.from_pretrained(folder, local_files_only=True, output_loading_info=True, **options)
    missing = sorted(info["missing_keys"])
    if missing:
        raise UserError(
            f"The {what} in {folder} is incomplete: {len(missing)} weights are missing (first: {missing[0]}); "
            "export or download it again."
        )
    return model


@contextmanager
def loading(folder: Path, what: str) -> Iterator[None]:
    """Turn what libraries raise on half-written or corrupt files into one sentence."""
    from safetensors import SafetensorError

    try:
        yield
    except (SafetensorError, OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = str(error).strip().splitlines()[0][:150] if str(error).strip() else type(error).__name__
        raise UserError(f"The {what} in {folder} cannot be loaded ({reason}); export or download it again.") from None
