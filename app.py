"""The app, and the entry point of a Hugging Face Space: the same as `python -m stsmt serve`.

Settings come from `STSMT_*` and the command line; see `stsmt/settings.py` and `python app.py --help`.
"""

import os
import sys

from stsmt.cli import main

if __name__ == "__main__":
    if "GRADIO_SERVER_NAME" in os.environ:  # how a Space says on which address it listens
        os.environ.setdefault("STSMT_HOST", os.environ["GRADIO_SERVER_NAME"])
    sys.exit(main(["serve", *sys.argv[1:]]))
