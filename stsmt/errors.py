"""The one exception whose message is meant for people."""


class UserError(Exception):
    """Bad input: the message is one clear sentence that says what to do.

    The command line prints it and exits with status 2; the app shows it as a Gradio error.
    """
