"""Gets the store's revision by a LIST that matches nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import msgspec

from exporter.kubernetes.errors import translated
from exporter.kubernetes.session import METADATA_LIST, AnswerError, Request, refusal
from exporter.measure.events import revision_of

if TYPE_CHECKING:
    from exporter.kubernetes.resources import Resource
    from exporter.kubernetes.session import Answered, ApiSession

ONLY_A_PROBE = "; all namespaces are watched, and this one is polled only for the revision"


class _ListMetadata(msgspec.Struct):
    resourceVersion: str = ""  # noqa: N815 Kubernetes' own name


class EmptyList(msgspec.Struct):
    """An answer to a LIST that matches nothing; other fields are skipped."""

    kind: str
    metadata: _ListMetadata

    @property
    def revision(self) -> int:
        """The store's revision. Raises ValueError if it is no decimal number."""
        version = self.metadata.resourceVersion
        revision = revision_of(version)
        if not self.kind.endswith("List") or revision is None:
            raise ValueError(f"a {self.kind[:30]!r} with resourceVersion {version[:30]!r}")
        return revision


_DECODER = msgspec.json.Decoder(EmptyList)


def list_revision(answer: Answered, content: bytes | bytearray) -> int:
    """The revision in the answer to a LIST that matches nothing. Raises errors that `translated` converts."""
    if answer.status != 200:
        raise refusal(answer, bytes(content))
    return _DECODER.decode(content).revision


class Collection(NamedTuple):
    """The objects that a LIST or WATCH covers: one resource on one apiserver, in one namespace or in all (None)."""

    session: ApiSession
    resource: Resource
    namespace: str | None


async def current_revision(collection: Collection) -> int:
    """The store's revision, by a consistent LIST that matches nothing. Raises StartError."""
    path, parameters = collection.resource.empty_list(collection.namespace)
    with translated(path):
        request = Request(path, parameters, accept=METADATA_LIST, purpose="list")
        async with await collection.session.send(request) as response:
            try:
                return list_revision(response, await response.read())
            except AnswerError as error:
                if error.status == 403 and collection.resource.is_namespaced and collection.namespace is None:
                    # The message names only this namespace; permission for that alone would not allow the watch.
                    raise AnswerError(403, f"{error}{ONLY_A_PROBE}") from error
                raise
