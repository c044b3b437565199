"""The app (also the entry point of a Hugging Face Space): settings -> translator -> page -> launch."""

import sys

from stsmt.errors import UserError
from stsmt.settings import ROOT, Settings
from stsmt.translator import Translator
from stsmt.ui import build_app, launch_options

EXAMPLES = ROOT / "assets" / "examples"


def main(settings: Settings) -> None:
    """Load the model and serve the page until interrupted."""
    translator = Translator.load(settings.model, settings.engine, settings.device)
    app = build_app(translator, examples=EXAMPLES)
    app.launch(
        server_name=settings.host, server_port=settings.port, allowed_paths=[str(EXAMPLES)], **launch_options()
    )


if __name__ == "__main__":
    try:
        main(Settings.read())
    except UserError as error:
        sys.exit(f"error: {error}")
