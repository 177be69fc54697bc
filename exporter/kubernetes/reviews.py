"""Authenticates and authorizes a client of ours by its token and path, as the apiserver does for itself.

A TokenReview identifies the user of the token; a SubjectAccessReview checks that the user may get the path. Nothing is
cached here.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from exporter.credentials import CredentialsError
from exporter.kubernetes.permissions import ACCESS_REVIEWS, TOKEN_REVIEWS, AccessReview
from exporter.kubernetes.session import UNREACHABLE, AnswerError, Request
from exporter.wording.sentences import sentence

if TYPE_CHECKING:
    from collections.abc import Mapping

    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import ApiSession

log = logging.getLogger(__name__)

TIME_LIMIT_SECONDS = 5.0
"""For both reviews together. Prometheus' scrape timeout is ten seconds."""

Answer = TypeVar("Answer", bound=msgspec.Struct)


class _User(msgspec.Struct):
    username: str = ""
    uid: str = ""
    groups: list[str] = []
    extra: dict[str, list[str]] = {}


class _TokenStatus(msgspec.Struct):
    authenticated: bool = False
    user: _User = msgspec.field(default_factory=_User)


class _TokenReview(msgspec.Struct):
    status: _TokenStatus


class Reviews:
    """Sends reviews through a session of its own, so that they do not delay other requests."""

    def __init__(self, session: ApiSession, time_limit_seconds: float = TIME_LIMIT_SECONDS) -> None:
        self._session = session
        self._time_limit_seconds = time_limit_seconds
        self._complaint = ""

    async def status(self, token: str, path: str) -> int:
        """200; 401 if the token is invalid; 403 if its user may not get `path`; 503 if a review failed."""
        try:
            async with asyncio.timeout(self._time_limit_seconds):
                status = await self._ask(token, path)
        except (AnswerError, CredentialsError, *UNREACHABLE) as error:
            complaint = sentence(error)
            if complaint != self._complaint:
                log.warning("token or access review failed", extra={"fields": {"error": complaint}})
            self._complaint = complaint
            return 503
        self._complaint = ""
        return status

    async def _ask(self, token: str, path: str) -> int:
        known = (await self._create(TOKEN_REVIEWS, "TokenReview", {"token": token}, _TokenReview)).status
        if not known.authenticated:
            return 401
        spec = {**msgspec.to_builtins(known.user), "nonResourceAttributes": {"path": path, "verb": "get"}}
        spec["user"] = spec.pop("username")
        access = await self._create(ACCESS_REVIEWS, "SubjectAccessReview", spec, AccessReview)
        return 200 if access.status.allowed else 403

    async def _create(self, kind: Resource, name: str, spec: Mapping[str, Any], answer: type[Answer]) -> Answer:
        review = {"apiVersion": f"{kind.group}/{kind.version}", "kind": name, "spec": spec}
        request = Request(kind.path(), method="POST", body=review, purpose="access_review")
        return await self._session.read_json(answer, request)
