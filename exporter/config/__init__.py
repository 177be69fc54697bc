"""All settings: their names, sources and rules.

Flags, `WATCHSLO_*` variables and a YAML file become one frozen Config, or a ConfigError with the one sentence that
the user gets. This room makes no connection and knows nothing else of the exporter.
"""

from exporter.config.flags import OPERANDS, flag_parser, read_flags
from exporter.config.load import Loaded, load, parsed_setting
from exporter.config.model import Config, ConfigError
from exporter.config.names import ListenAddress, ResourceName
from exporter.config.reference import reference_markdown
from exporter.config.settings import SETTINGS, Setting
from exporter.config.sources import Given

__all__ = [
    "OPERANDS",
    "SETTINGS",
    "Config",
    "ConfigError",
    "Given",
    "ListenAddress",
    "Loaded",
    "ResourceName",
    "Setting",
    "flag_parser",
    "load",
    "parsed_setting",
    "read_flags",
    "reference_markdown",
]
