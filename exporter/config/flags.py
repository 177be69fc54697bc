"""The flags of one command: an argparse parser built from the table of settings, and their values as text.

argparse splits the words and prints the help; refusals are worded here, the same on every Python.
"""

import argparse
from collections.abc import Sequence
from typing import Any

from exporter.config.model import ConfigError
from exporter.config.settings import BY_NAME, SETTINGS, Setting
from exporter.config.sources import Given
from exporter.wording.quoting import did_you_mean, quoted

OPERANDS = {"audit": "FILE"}
"""What the commands take besides flags, and the key of it among what `read_flags` returns."""

_NO = "--no-"


def flag_parser(command: str, summary: str) -> argparse.ArgumentParser:
    """Parser with the flags of one command, grouped as the table says; `format_help()` is the command's help."""
    parser = argparse.ArgumentParser(
        prog=f"watchslo {command}",
        usage=f"watchslo {command} {f'{OPERANDS[command]} ... ' if command in OPERANDS else ''}[flag ...]",
        description=summary,
        epilog="A DURATION is a number of seconds, or is written like 500ms or 1m30s. A repeatable flag also takes a "
        "list with commas. Each flag is also an environment variable: --slo.window is WATCHSLO_SLO_WINDOW.",
        formatter_class=_Formatter,
        add_help=False,
        allow_abbrev=False,
        exit_on_error=False,
    )
    groups: dict[str, Any] = {}
    for setting in SETTINGS:
        if command in setting.commands:
            if setting.section not in groups:
                groups[setting.section] = parser.add_argument_group(setting.section)
            _add_flag(groups[setting.section], setting, command)
    parser.add_argument_group("Help").add_argument("-h", "--help", action="store_true", help="print this")
    return parser


def _add_flag(group: Any, setting: Setting, command: str) -> None:
    text = _help_text(setting, command).replace("%", "%%")
    if setting.is_switch:
        action = argparse.BooleanOptionalAction
        group.add_argument(setting.flag, dest=setting.name, action=action, help=text)
    else:
        group.add_argument(setting.flag, dest=setting.name, action="append", metavar=setting.metavar, help=text)


def _help_text(setting: Setting, command: str) -> str:
    notes = ["repeatable"] if setting.repeatable else []
    if setting.default and not setting.is_switch:
        notes.append(f"default {' '.join(setting.default_of(command))}")
    return f"{setting.help} ({', '.join(notes)})" if notes else setting.help


class _Formatter(argparse.HelpFormatter):
    """As wide on every terminal, so that help reads the same in a log, a pipe and the docs."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=118)


def read_flags(command: str, parser: argparse.ArgumentParser, arguments: Sequence[str]) -> dict[str, Given]:
    """Return what the flags say, and the operands of a command that has some.

    Raises ConfigError for a flag that is unknown, lacks its value or comes twice, and for words that are no flags.
    """
    try:
        namespace, left_over = parser.parse_known_args(arguments)
    except argparse.ArgumentError as error:
        # Only one thing can be wrong with each kind of flag; a switch is named together with its --no- form.
        flag, _, is_switch = (error.argument_name or "").partition("/")
        raise ConfigError(f"{flag}: {'takes no value' if is_switch else 'needs a value'}") from None
    said: dict[str, Given] = {}
    if command in OPERANDS:
        operands = tuple(word for word in left_over if not word.startswith("-") or word == "-")
        left_over = [word for word in left_over if word not in operands]
        said[OPERANDS[command]] = Given(operands, OPERANDS[command])
    if left_over:
        raise ConfigError(_why_unknown(command, left_over[0]))
    for name, value in vars(namespace).items():
        if name in BY_NAME and value is not None:
            said[name] = Given(_texts(BY_NAME[name], value), BY_NAME[name].flag)
    return said


def _texts(setting: Setting, value: bool | list[str]) -> tuple[str, ...]:  # noqa: FBT001 - it is what argparse found
    if isinstance(value, bool):
        return (str(value).lower(),)
    if len(value) > 1 and not setting.repeatable:
        raise ConfigError(f"{setting.flag}: is given {len(value)} times: {' and '.join(map(quoted, value))}")
    return tuple(part for text in value for part in setting.texts_of(text))


def _why_unknown(command: str, argument: str) -> str:
    if not argument.startswith("-"):
        return f"unexpected argument {quoted(argument)}: {command} takes only flags"
    flag = argument.partition("=")[0]
    name = flag.removeprefix(_NO).removeprefix("--")
    if name in BY_NAME and command not in BY_NAME[name].commands:
        owners = ", ".join(sorted(BY_NAME[name].commands))
        return f"{BY_NAME[name].flag}: is not a flag of {command}, only of {owners}"
    known = [setting.flag for setting in SETTINGS if command in setting.commands]
    return f"unknown flag {quoted(flag)}{did_you_mean(flag, known, '--')}"
