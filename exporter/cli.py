"""The door: words from the command line in, an exit code out.

Each command settles its configuration first and only then imports what it runs, so that a refusal, `--help` and
`version` come at once. Nothing is measured or served here.
"""
# ruff: noqa: T201 - a command line prints

import json
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

from exporter.config import ConfigError, Given, Loaded, flag_parser, load, parsed_setting, read_flags
from exporter.config.wording import did_you_mean, quoted

_BAD_CONFIGURATION = 2
_INTERRUPTED = 130  # as a shell reports a program that SIGINT has ended
_READER_GONE = 141  # and one that SIGPIPE has ended


@dataclass(frozen=True, slots=True)
class _Command:
    summary: str
    act: Callable[[Mapping[str, Given]], int]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command that the words name and return the exit code; 2 is bad configuration, said in one line."""
    try:
        exit_code = _run_command(sys.argv[1:] if argv is None else argv)
        print(end="", flush=True)
    except ConfigError as error:
        print(f"watchslo: error: {error}", file=sys.stderr)
        return _BAD_CONFIGURATION
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The interpreter flushes stdout once more when it ends, and would complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _READER_GONE
    return exit_code


def _run_command(words: Sequence[str]) -> int:
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
    return command.act(read_flags(name, parser, arguments))


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


def _run(flags: Mapping[str, Given]) -> int:
    loaded = load(flags, os.environ)
    from exporter import daemon  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return daemon.run(loaded.config, loaded.warnings)


def _demo(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter import demo  # noqa: PLC0415 - heavy: the daemon and the simulator

    return demo.run(loaded.config, loaded.scenario)


def _check(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter import check  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return check.run(loaded.config)


def _measure(flags: Mapping[str, Given]) -> int:
    loaded = _load_aloud(flags)
    from exporter import once  # noqa: PLC0415 - heavy: asyncio, aiohttp and all that they need

    return once.run(loaded.config, loaded.duration_seconds, loaded.output)


def _load_aloud(flags: Mapping[str, Given]) -> Loaded:
    """Load for a command that a person watches: warnings go to the terminal, not to a log."""
    loaded = load(flags, os.environ)
    for warning in loaded.warnings:
        print(f"watchslo: warning: {warning}", file=sys.stderr)
    return loaded


def _healthcheck(flags: Mapping[str, Given]) -> int:
    # What a running exporter survives must not make it look dead.
    loaded = load(flags, os.environ, unread={"web.config.file"})
    from exporter import healthcheck  # noqa: PLC0415 - heavy: HTTP and TLS

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
    "demo": _Command("measure a simulated apiserver that this command brings along", _demo),
    "check": _Command("try the configuration, credentials, permissions and clocks, and print what was found", _check),
    "measure": _Command("measure once and print the verdict: 0 met, 1 violated, 3 unknown", _measure),
    "healthcheck": _Command("ask a running watchslo whether it is alive", _healthcheck),
    "version": _Command("print the versions of watchslo and of what it runs on", _version),
}
