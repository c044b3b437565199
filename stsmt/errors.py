"""The one exception whose message is meant for people, and how programs pass it on."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


class UserError(Exception):
    """Bad input: the message is one clear sentence that says what to do.

    The command line prints it and exits with status 2; the app shows it as a Gradio error.
    """


@contextmanager
def stated_errors() -> Iterator[None]:
    """Within a program: a `UserError` becomes one line on standard error, and the program ends with status 2."""
    try:
        yield
    except UserError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        raise SystemExit(2) from None
