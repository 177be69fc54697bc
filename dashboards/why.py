"""Whose fault it is, by what the exporters find themselves."""

from typing import Final

from dashboards import panels
from dashboards.panels import Panel, Query
from dashboards.query import EXPORTER, WORST, series

CERTAINTIES: Final = {1: ("suspected", panels.UNKNOWN), 2: ("shown", panels.VIOLATED)}
BY_FAULT: Final = "cluster, apiserver, group, resource, fault"
NAME_OF_FAULT: Final = "{{fault}} {{resource}} {{group}} @ {{apiserver}} {{cluster}}"
# Not by apiserver and resource: both are empty where a fault concerns more than one of them.
FOUND: Final = f"max by ({BY_FAULT}, certainty) ({series('fault', scope=EXPORTER)}) == 1"
_SUSPECTED, _SHOWN = (series("fault", f'certainty="{one}"', scope=EXPORTER) for one in ("suspected", "shown"))
_CERTAINTY: Final = f"max by ({BY_FAULT}) ({_SUSPECTED} + ignoring (certainty) 2 * {_SHOWN}) > 0"


def fault_tiles() -> Panel:
    """What is found now."""
    tiles = panels.tiles("Whose fault is it?", "short", Query(f"topk({WORST}, {_CERTAINTY})", NAME_OF_FAULT))
    return panels.worded(tiles.no_value("no fault is found"), CERTAINTIES).description(
        "The faults that the exporters find now, and where. Shown: a fact from outside and one that confirms it, such "
        "as the apiserver's own metrics. Suspected: facts from outside only. docs/faults.md says what each is and what "
        "to do about it; watchslo why says on what evidence."
    )


def faults_over_time() -> Panel:
    """What was found when."""
    return panels.worded(panels.history("Faults", Query(_CERTAINTY, NAME_OF_FAULT)), CERTAINTIES).description(
        "When each fault was found, and with what certainty. Every dashboard marks the same times as annotations."
    )
