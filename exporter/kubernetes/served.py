"""The whole of an apiserver's discovery in, the names of all that can be watched there out. For hints, not for work."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import msgspec

from exporter.kubernetes.session import AnswerError

if TYPE_CHECKING:
    from exporter.kubernetes.session import ApiSession


class _Version(msgspec.Struct, rename="camel"):
    group_version: str


class _Group(msgspec.Struct, rename="camel"):
    name: str
    preferred_version: _Version


class _Groups(msgspec.Struct):
    groups: list[_Group] = []


class _Resource(msgspec.Struct):
    name: str
    verbs: list[str] = []


class _Resources(msgspec.Struct):
    resources: list[_Resource] | None = None


async def watchable_names(session: ApiSession) -> list[str]:
    """`plural` or `plural.group` of everything with list and watch; a group that does not answer is left out.

    Raises AnswerError, UNREACHABLE or CredentialsError if the list of groups cannot be had.
    """
    try:
        groups = msgspec.convert(await session.get_json("/apis"), _Groups).groups
    except msgspec.ValidationError as error:
        raise AnswerError(200, f"/apis: the answer is no discovery document ({error})") from error
    places = {"": "/api/v1", **{group.name: f"/apis/{group.preferred_version.group_version}" for group in groups}}
    names = await asyncio.gather(*(_names_of(session, group, path) for group, path in places.items()))
    return [name for names_of_group in names for name in names_of_group]


async def _names_of(session: ApiSession, group: str, path: str) -> list[str]:
    try:
        served = msgspec.convert(await session.get_json(path), _Resources).resources or []
    except (AnswerError, msgspec.ValidationError):
        return []
    plurals = [resource.name for resource in served if {"list", "watch"} <= set(resource.verbs)]
    return [f"{plural}.{group}" if group else plural for plural in plurals]
