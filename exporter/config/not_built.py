"""What the command line promises and this version does not do yet. What gets built is deleted here, line by line."""

from collections.abc import Callable, Mapping
from typing import Any

from exporter.config.model import ConfigError
from exporter.config.sources import Given

# Setting, what of it is meant, and which of its valid values ask for it.
_SETTINGS: tuple[tuple[str, str, Callable[[Any], bool]], ...] = (("web.config.file", "", lambda _: True),)


def refuse_not_built(given: Mapping[str, Given], values: Mapping[str, Any]) -> None:
    """Raise ConfigError if somebody asked for what is not there; defaults are nobody's wish."""
    for name, part, is_asked_for in _SETTINGS:
        if name in given and is_asked_for(values[name]):
            raise ConfigError(f"{given[name].where}{part} is not built yet")
