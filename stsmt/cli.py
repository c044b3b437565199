"""The command line: `python -m stsmt translate | speak | transcribe | serve | corpus | ratings`.

Results go to standard output, everything else to standard error. Exit status: 0 fine, 2 bad input (one line
`error: …`), 1 our own fault (with a traceback to report).
"""

import argparse
import json
import os
import socket
import sys
import traceback
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

from stsmt.audio import check_speech, check_writable, read_audio, wav_bytes, write_wav
from stsmt.cli_corpus import add_corpus
from stsmt.cli_ratings import add_ratings
from stsmt.errors import UserError
from stsmt.example import LANGUAGES, Mode, Task
from stsmt.requests import Request, Result
from stsmt.settings import CORPUS, ENGINES, EXAMPLES, Settings
from stsmt.text import check_text

MODES = [str(mode) for mode in Mode]
EPILOG = """\
examples:
  stsmt translate question.wav --to en -o answer.wav     hear a Japanese question in English
  stsmt translate question.wav --json                    the other language, everything as one JSON document
  stsmt speak "駅はどこですか。" --language ja -o station.wav
  stsmt transcribe question.wav
  arecord -d 4 -f S16_LE -r 16000 | stsmt translate - -o - | aplay

The model is the bundled one, or what --model or STSMT_MODEL names: a checkpoint folder, or owner/name@revision on the
Hugging Face Hub. Recordings may be of any format, rate and channel count that libsndfile reads, up to 60 seconds.
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line instead of printing the usage."""

    def error(self, message: str) -> NoReturn:
        raise UserError(f"{message} (see {self.prog} --help)")


def make_parser() -> argparse.ArgumentParser:
    """All verbs and options."""
    parser = _Parser(
        prog="stsmt",
        description="Speech-to-speech translation, text to speech and speech to text for Japanese and English.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB", parser_class=_Parser)
    translate = verbs.add_parser("translate", help="speech in one language → speech in the other")
    translate.add_argument("input", metavar="IN.wav", help="a recording, or - for standard input")
    translate.add_argument("--to", choices=LANGUAGES, help="target language (default: not the one that is heard)")
    translate.add_argument(
        "--mode", choices=MODES, help="chain writes transcript and translation first; direct only speaks"
    )
    speak = verbs.add_parser("speak", help="text → speech")
    speak.add_argument("text", metavar="TEXT", help="what to say, or - for standard input")
    speak.add_argument("--language", choices=LANGUAGES, help="language of the text (default: told by its script)")
    transcribe = verbs.add_parser("transcribe", help="speech → text")
    transcribe.add_argument("input", metavar="IN.wav", help="a recording, or - for standard input")
    transcribe.add_argument("--language", choices=LANGUAGES, help="language spoken (default: told by listening)")
    for verb in (translate, speak):
        verb.add_argument("--voice", metavar="NAME", help="who speaks; an unknown name lists all")
        verb.add_argument("-o", "--output", metavar="OUT.wav", help="where the sound goes; - for standard output")
    for verb in (translate, speak, transcribe):
        verb.add_argument("--seed", default="0", metavar="N", help="another seed speaks another time (default: 0)")
        verb.add_argument("--json", action="store_true", help="print the whole result as one JSON document")
    _add_serve(verbs)
    for verb in verbs.choices.values():
        verb.add_argument("--model", metavar="MODEL", help="checkpoint folder or owner/name@revision")
        verb.add_argument("--engine", metavar="ENGINE", help=f"what runs the language model: {' or '.join(ENGINES)}")
        verb.add_argument("--device", metavar="DEVICE", help="cpu (default), cuda, cuda:1 …")
        verb.set_defaults(run=_serve if verb is verbs.choices["serve"] else _answer)
    add_corpus(verbs)
    add_ratings(verbs)
    return parser


def _add_serve(verbs: "argparse._SubParsersAction[_Parser]") -> None:
    serve = verbs.add_parser("serve", help="open the app in a browser")
    serve.add_argument("--host", help="address to listen on (default: 127.0.0.1)")
    serve.add_argument("--port", metavar="PORT", help="port to listen on (default: 7860)")
    serve.add_argument(
        "--db", metavar="FILE", help="index of the corpus to browse (made from the bundled pairs if missing)"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit status."""
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    try:
        options = make_parser().parse_args(arguments)
        return int(options.run(options))
    except UserError as error:
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        return 2
    except BrokenPipeError:  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except KeyboardInterrupt:
        return 130
    except Exception:
        traceback.print_exc()
        print("error: this is a fault of stsmt itself; please report the lines above.", file=sys.stderr)
        return 1


def _settings(options: argparse.Namespace) -> Settings:
    names = ("model", "engine", "device", "host", "db")
    settings = replace(Settings.read(), **{name: value for name in names if (value := getattr(options, name, None))})
    port = getattr(options, "port", None)
    return settings if port is None else replace(settings, port=_number("port", port))


def _number(what: str, value: str) -> int:
    try:
        return int(value)
    except ValueError:
        raise UserError(f"The {what} must be a whole number, not {value!r}.") from None


def _serve(options: argparse.Namespace) -> int:
    serve(_settings(options))
    return 0


def serve(settings: Settings) -> None:
    """Load the model and serve the app until interrupted; what app.py does.

    Raises:
        UserError: if the checkpoint or the index cannot be loaded, the folder of ratings not be used, or the port is
            taken.
    """
    _check_address(settings.host, settings.port)
    from stsmt.corpus.search import open_corpus
    from stsmt.translator import Translator

    translator = Translator.load(settings.model, settings.engine, settings.device)
    corpus = open_corpus(Path(settings.db), CORPUS)
    from stsmt.ui import build_app, launch_options
    from stsmt.ui.corpus_listening import rated_corpus

    rated = {} if corpus is None else rated_corpus(corpus, translator.codec, settings)
    build_app(translator, examples=EXAMPLES, corpus=corpus, at_once=settings.at_once, **rated).launch(
        server_name=settings.host, server_port=settings.port, allowed_paths=[str(EXAMPLES)], **launch_options()
    )


def _check_address(host: str, port: int) -> None:
    """Find out before the model is loaded whether the app can be reached there."""
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        socket.create_server(address, family=family).close()
    except (OSError, UnicodeError) as error:  # a name may be too long to be looked up
        reason = f"The app cannot listen on {host}, port {port}: {getattr(error, 'strerror', error)}."
        raise UserError(f"{reason} Is it running already? Otherwise choose another --port or --host.") from None


def _answer(options: argparse.Namespace) -> int:
    """Translate, speak or transcribe: everything that can be wrong is found before the model is loaded."""
    settings, output = _settings(options), getattr(options, "output", None)
    if output == "-" and options.json:
        raise UserError("Sound and JSON cannot both go to standard output; give -o a file.")
    if output not in (None, "-"):
        check_writable(output)
    request = _request(options)
    from stsmt.translator import Translator

    result = Translator.load(settings.model, settings.engine, settings.device).run(request)
    _write(result, output, options.json)
    return 0


def _request(options: argparse.Namespace) -> Request:
    seed = _number("seed", options.seed)
    if options.verb == "speak":
        text = sys.stdin.read() if options.text == "-" else options.text
        check_text(text, options.language)
        return Request(Task.TTS, text=text, target_language=options.language, voice=options.voice, seed=seed)
    audio = read_audio(options.input)
    check_speech(audio)
    if options.verb == "transcribe":
        return Request(Task.STT, audio=audio, source_language=options.language, seed=seed)
    return Request(Task.STS, audio=audio, target_language=options.to, mode=options.mode, voice=options.voice, seed=seed)


def _write(result: Result, output: str | None, as_json: bool) -> None:
    if output == "-" and result.audio is not None:
        sys.stdout.buffer.write(wav_bytes(result.audio))
        sys.stdout.buffer.flush()
    elif output is not None and result.audio is not None:
        write_wav(output, result.audio)
    if as_json:
        print(json.dumps(result.to_json(output), ensure_ascii=False))
    else:
        _tell(result, output)


def _tell(result: Result, output: str | None) -> None:
    """The texts, on standard output unless the sound is there; remarks on standard error."""
    texts = (result.transcript, result.translation)
    for text in texts:
        if text is not None:
            print(text, file=sys.stderr if output == "-" else sys.stdout)
    for warning in result.warnings:
        print("note:", warning, file=sys.stderr)
    if result.unsure:
        print("note: the model is unsure of this:", ", ".join(result.unsure).replace("_", " "), file=sys.stderr)
    if result.audio is not None:
        where = f"written to {output}" if output else "not kept; give -o OUT.wav to keep it"
        print(f"note: {result.audio.seconds:.1f} s of sound {where}", file=sys.stderr)
