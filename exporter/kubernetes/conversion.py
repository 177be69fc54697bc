"""The name of a custom resource in, whether a webhook converts its objects out: what its definition says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import msgspec

from exporter.credentials import CredentialsError
from exporter.kubernetes.resources import CUSTOM_RESOURCE_DEFINITIONS
from exporter.kubernetes.session import UNREACHABLE, AnswerError, Request

if TYPE_CHECKING:
    from exporter.kubernetes.session import ApiSession


class _Conversion(msgspec.Struct):
    strategy: Annotated[str, msgspec.Meta(max_length=64)] = "None"


class _Spec(msgspec.Struct):
    conversion: _Conversion = msgspec.field(default_factory=_Conversion)


class _Definition(msgspec.Struct):
    spec: _Spec


class _Definitions(msgspec.Struct):
    items: Annotated[list[_Definition], msgspec.Meta(max_length=1)] | None = None


async def converts_by_webhook(session: ApiSession, group: str, plural: str) -> bool | None:
    """Whether the definition names a conversion webhook; None if there is none, or we are not told.

    A LIST that matches one: permission to list definitions is what --custom-resources needs anyway.
    """
    parameters = {"fieldSelector": f"metadata.name={plural}.{group}"}
    request = Request(CUSTOM_RESOURCE_DEFINITIONS.path(), parameters)
    try:
        found = (await session.read_json(_Definitions, request)).items
    except (AnswerError, CredentialsError, *UNREACHABLE):
        return None
    return found[0].spec.conversion.strategy == "Webhook" if found else None
