"""The entry point: runs the command that the command line names, and returns its exit code.

Each command settles its configuration first and only then imports what it runs, so that a refusal, `--help` and
`version` come at once. Nothing is measured or served here.
"""
# ruff: noqa: T201 - a command line prints

import gc
import json
import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from importlib.metadata import version
from typing import TYPE_CHECKING

import msgspec

from exporter.commands.outputs import (
    CannotWriteError,
    Output,
    ReaderGoneError,
    give_up_what_is_unwritten,
    keep_standard_descriptors,
    say_error,
)
from exporter.config import ConfigError, Given, Loaded, flag_parser, load, parsed_setting, read_flags
from exporter.config.sources import read_environment
from exporter.wording.quoting import did_you_mean, quoted

if TYPE_CHECKING:
    from exporter.commands.asking import RunningExporter

_CANNOT_BE_DONE = 2
_INTERRUPTED = 130  # as a shell reports a program that SIGINT has ended
_READER_GONE = 141  # and one that SIGPIPE has ended


class _Command(msgspec.Struct, frozen=True):
    summary: str
    act: Callable[[Mapping[str, Given]], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the words name and return the exit code.

    2 is all that could not be done, in one line on stderr: bad configuration, output that cannot be written. A fault
    of our own is 2 as well, with its traceback: 1 is a verdict of some commands.
    """
    keep_standard_descriptors()
    stdout = Output("stdout", sys.stdout)
    try:
        with redirect_stdout(stdout):
            words = list(sys.argv[1:] if argv is None else argv)
            exit_code = _run_command(words, stdout)
            stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except Exception as error:  # noqa: BLE001 whatever it is: it is no verdict
        return _failed(_innermost(error))
    finally:
        give_up_what_is_unwritten()
    return exit_code


def _innermost(error: Exception) -> Exception:
    """What went wrong, where tasks that were running together stand around it."""
    while isinstance(error, ExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error


def _failed(error: Exception) -> int:
    match error:
        case ReaderGoneError():
            return _READER_GONE
        case ConfigError() | CannotWriteError():
            say_error(str(error))
        case OSError():
            say_error(f"cannot continue: {error.strerror or error}")
        case _:
            with suppress(OSError, ValueError):
                traceback.print_exception(error)
            say_error("this is a bug in watchslo: please report it with the lines above")
    return _CANNOT_BE_DONE


def _run_command(words: Sequence[str], stdout: Output) -> int:
    if not words:
        raise ConfigError(f"no command given: {_choice()}")
    name, *arguments = words
    if name in ("-h", "--help", "help"):
        print(_overview())
        return 0
    if name == "--version":
        name = "version"
    if (command := _COMMANDS.get(name)) is None:
        if name.startswith("-"):
            raise ConfigError(f"the command comes before {quoted(name)}: {_choice()}")
        raise ConfigError(f"unknown command {quoted(name)}{did_you_mean(name, _COMMANDS) or f': {_choice()}'}")
    parser = flag_parser(name, command.summary)
    if "-h" in arguments or "--help" in arguments:
        print(parser.format_help(), end="")
        return 0
    flags = read_flags(name, parser, arguments)
    if name != "run":
        stdout.expect_open()  # before a minute is spent on a result that nobody can get
    return command.act(flags)


def _choice() -> str:
    return f"choose one of {', '.join(_COMMANDS)}"


def _overview() -> str:
    commands = (f"  {name:<13}{command.summary}" for name, command in _COMMANDS.items())
    return "\n".join(
        [
            "usage: watchslo COMMAND [flag ...]",
            "",
            "How late are my Kubernetes watches, and whose fault is it?",
            "",
            *commands,
            "",
            "watchslo COMMAND --help lists the flags of a command.",
        ]
    )


@contextmanager
def _uncollected() -> Iterator[None]:
    """For imports: what is imported stays, and to look for garbage among it again and again is a tenth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def _run(flags: Mapping[str, Given]) -> int:
    loaded = load(flags, os.environ)
    with _uncollected():
        from exporter.service import daemon  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return daemon.run(loaded.config, loaded.warnings)


def _demo(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags, "demo")
    from exporter.commands import demo  # noqa: PLC0415 - heavy: the daemon and the simulator

    return demo.run(loaded.config, loaded.scenario)


def _check(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter.commands import check  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return check.run(loaded.config)


def _measure(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter.commands import measure  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return measure.run(loaded.config, loaded.duration_seconds, loaded.output)


def _why(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter.commands import why  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return why.run(loaded.config, loaded.duration_seconds, loaded.output, _asked(loaded))


def _audit(flags: Mapping[str, Given]) -> int:
    given = {**read_environment(os.environ)[0], **flags}
    since, until, output = (parsed_setting(name, given, "audit") for name in ("since", "until", "output"))
    from exporter.commands import audit  # noqa: PLC0415 - heavy: msgspec and the decoders

    return audit.run(flags["FILE"].texts, since, until, output)


def _lists(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter.commands import lists  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return lists.run(loaded.config, loaded.duration_seconds, loaded.output, is_agreed=loaded.is_agreed)


def _top(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter.commands import top  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return top.run(loaded.config, _asked(loaded))


def _asked(loaded: Loaded) -> "RunningExporter | None":
    if loaded.url is None:
        return None
    from exporter.commands.asking import RunningExporter  # noqa: PLC0415 - heavy: HTTP

    return RunningExporter(loaded.url, loaded.http_config)


def _load_aloud(flags: Mapping[str, Given], command: str = "run") -> Loaded:
    """Load for a command that a person watches: warnings go to the terminal, not to a log."""
    loaded = load(flags, os.environ, command=command)
    for warning in loaded.warnings:
        print(f"watchslo: warning: {warning}", file=sys.stderr)
    return loaded


def _healthcheck(flags: Mapping[str, Given]) -> int:
    # What a running exporter survives must not make it look dead.
    loaded = load(flags, os.environ, unread={"web.config.file", "audit.web-config.file"})
    from exporter.commands import healthcheck  # noqa: PLC0415 - heavy: HTTP and TLS

    return healthcheck.run(loaded.config)


def _version(flags: Mapping[str, Given]) -> int:
    versions = {
        "watchslo": version("watchslo"),
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "uvloop": version("uvloop"),
    }
    if parsed_setting("output", flags) == "json":
        print(json.dumps(versions))
    else:
        own, *others = (f"{name} {number}" for name, number in versions.items())
        print(f"{own} ({', '.join(others)})")
    return 0


_COMMANDS = {
    "run": _Command("measure and serve metrics until SIGTERM or SIGINT", _run),
    "demo": _Command("measure a built-in simulated apiserver, and show the truth beside the measurement", _demo),
    "check": _Command(
        "test configuration, credentials, permissions and clocks, and print the findings: 0 all good, 2 not",
        _check,
    ),
    "measure": _Command("measure once and print the verdict: 0 met, 1 violated, 2 not measured, 3 unknown", _measure),
    "why": _Command("say whose fault late watches are: 0 no fault, 1 a fault is shown, 3 one is suspected", _why),
    "top": _Command("show which watches are late in a terminal, live: the page for those who have no browser", _top),
    "audit": _Command("say who lists, relists, watches and writes how much, by audit logs: 0 said, 2 not", _audit),
    "lists": _Command("say what a LIST costs here, in each form, after asking: 0 said, 2 not", _lists),
    "healthcheck": _Command("ask a running watchslo whether it is alive: 0 yes, 1 no", _healthcheck),
    "version": _Command("print the versions of watchslo and of its main dependencies", _version),
}
