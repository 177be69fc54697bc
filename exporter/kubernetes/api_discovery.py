"""Finds the resource of a given name on an apiserver, or suggests a name if it is not served."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated, NamedTuple

import msgspec

from exporter.config.load import CANARIES
from exporter.credentials import CredentialsError
from exporter.kubernetes.resources import Name, NotServedError, discover
from exporter.kubernetes.session import UNREACHABLE, AnswerError, Request, too_much
from exporter.wording.kinds import kind_name
from exporter.wording.quoting import did_you_mean

if TYPE_CHECKING:
    from exporter.config import ResourceName
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import ApiSession

DEFINITION = f"deploy/helm/watchslo/crds/{CANARIES}.yaml"

MOST_GROUPS = 1000
MOST_RESOURCES = 10_000
"""In all groups together: ten times as many as a large cluster serves."""

ASKED_AT_ONCE = 4
ASKING_SECONDS = 30.0


async def find(session: ApiSession, name: ResourceName, hints: dict[ResourceName, str]) -> Resource:
    """`discover`, with a hint in the error if `name` is not served. `hints` caches them: each takes dozens of requests.

    Raises AnswerError, UNREACHABLE or CredentialsError.
    """
    try:
        return await discover(session, name)
    except NotServedError as error:
        if name not in hints:
            with suppress(AnswerError, CredentialsError, *UNREACHABLE):
                hints[name] = await _hint(session, name)
        raise NotServedError(error.status, f"{error}{hints.get(name, '')}") from error


async def _hint(session: ApiSession, name: ResourceName) -> str:
    """The end of the sentence: the same plural in another group, a kind with this short name, or the most similar name.

    Raises AnswerError, UNREACHABLE or CredentialsError.
    """
    if name.is_same_kind(CANARIES):
        return f": apply its definition, {DEFINITION} of the repository"
    served = await _watchable(session)
    if str(name) in {one.name for one in served}:
        return ""  # it is served by now
    namesakes = [one.name for one in served if one.plural == name.plural]
    called_so = [one.name for one in served if name.plural in one.aliases]
    in_its_group = [known for known in called_so if known.partition(".")[2] == name.group]
    if meant := namesakes or in_its_group or called_so:
        return ", did you mean " + " or ".join(f'"{known}"' for known in meant) + "?"
    return did_you_mean(str(name), [one.name for one in served])


class _Version(msgspec.Struct, rename="camel"):
    version: Name


class _Group(msgspec.Struct, rename="camel"):
    name: Name
    preferred_version: _Version


class _Groups(msgspec.Struct):
    groups: Annotated[list[_Group], msgspec.Meta(max_length=MOST_GROUPS)] = []


class _Resource(msgspec.Struct, rename="camel"):
    name: Name
    verbs: tuple[Name, ...] = ()
    singular_name: Name = ""
    short_names: tuple[Name, ...] | None = None


class _Resources(msgspec.Struct):
    resources: Annotated[list[_Resource], msgspec.Meta(max_length=MOST_RESOURCES)] | None = None


class _Watchable(NamedTuple):
    name: str
    plural: str
    aliases: tuple[str, ...]
    """Other names in kubectl, such as `pod` and `po`."""


async def _watchable(session: ApiSession) -> list[_Watchable]:
    """All resources with the verbs list and watch. Groups that do not answer are left out.

    Raises AnswerError, UNREACHABLE or CredentialsError if the list of groups is not available.
    """
    groups = (await session.read_json(_Groups, Request("/apis"))).groups
    places = [("", "/api/v1"), *((one.name, f"/apis/{one.name}/{one.preferred_version.version}") for one in groups)]
    served: list[_Watchable] = []
    async with asyncio.timeout(ASKING_SECONDS):
        while places:
            asked, places = places[:ASKED_AT_ONCE], places[ASKED_AT_ONCE:]
            answers = await asyncio.gather(*(_watchable_in(session, group, path) for group, path in asked))
            served += [one for of_group in answers for one in of_group]
            if len(served) > MOST_RESOURCES:
                raise too_much(f"/apis: more than {MOST_RESOURCES} resources")
    return served


async def _watchable_in(session: ApiSession, group: str, path: str) -> list[_Watchable]:
    try:
        served = (await session.read_json(_Resources, Request(path))).resources or []
    except AnswerError:
        return []
    return [
        _Watchable(kind_name(group, one.name), one.name, (one.singular_name, *(one.short_names or ())))
        for one in served
        if {"list", "watch"} <= set(one.verbs)
    ]
