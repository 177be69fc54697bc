"""What may be set, where it is said and what it has to look like.

Flags, `WATCHSLO_*` variables and a YAML file come in; one frozen Config goes out, or a ConfigError with the one
sentence that the user gets. No connection is made here, and nothing else of the exporter is known.
"""

from exporter.config.flags import flag_parser, read_flags
from exporter.config.load import Loaded, load, parsed_setting
from exporter.config.model import Config, ConfigError
from exporter.config.names import ListenAddress, ResourceName
from exporter.config.reference import reference_markdown
from exporter.config.settings import SETTINGS, Setting
from exporter.config.sources import Given

__all__ = [
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
