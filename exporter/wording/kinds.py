"""How kinds are named, everywhere the same."""


def kind_name(group: str, resource: str) -> str:
    """A resource as flags have it: `pods`, `widgets.example.com`. The group is "" for core."""
    return f"{resource}.{group}" if group else resource
