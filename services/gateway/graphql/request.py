"""The context of one GraphQL request, and the view of it that a resolver of a root field gets."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, TypeVar

from ariadne import MutationType, ObjectType, QueryType
from graphql import GraphQLResolveInfo

from services.gateway.call import Gateway
from services.gateway.graphql.documents import Document
from services.gateway.graphql.settings import GraphqlSettings
from services.gateway.graphql.shape import MANY, Batch, Compiler, Shape, Shaped, shaped
from services.gateway.people.identity import User

T = TypeVar("T")
Json = dict[str, Any]

QUERY = QueryType()
MUTATION = MutationType()


class Interleaver:
    """Lets the event loop serve other tasks between pieces of work of a millisecond or more.

    Call ``pause`` directly before such work, without an await in between. Otherwise requests that become ready at the same moment
    would run back to back and block the loop.
    """

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    async def pause(self) -> None:
        async with self._free:
            await asyncio.sleep(0)


@dataclass(slots=True)
class GraphqlRequest:
    """``parallel`` bounds how many root fields are resolved concurrently. ``has_much`` is set when one of them has a long list."""

    settings: GraphqlSettings
    gateway: Gateway
    user: User
    document: Document
    compiler: Compiler
    parallel: asyncio.Semaphore
    interleaver: Interleaver
    has_much: bool = False
    _known: dict[Any, Any] = field(default_factory=dict)
    _locks: defaultdict[Any, asyncio.Lock] = field(default_factory=lambda: defaultdict(asyncio.Lock))

    async def once(self, key: Any, read: Callable[[], Awaitable[T]]) -> T:
        """Read what several root fields need once per request. ``key`` identifies it."""
        async with self._locks[key]:
            if key not in self._known:
                self._known[key] = await read()
            found: T = self._known[key]
            return found


@dataclass(frozen=True, slots=True)
class Ask:
    """One root field being resolved. ``shape`` is None if the field has no selection."""

    request: GraphqlRequest
    arguments: Json
    shape: Shape | None

    @property
    def gateway(self) -> Gateway:
        return self.request.gateway

    @property
    def user(self) -> User:
        return self.request.user

    def __getitem__(self, name: str) -> Any:
        """The value of an argument, None if it was omitted."""
        return self.arguments.get(name)

    def selects(self, path: str) -> bool:
        """Whether a field below is selected, such as ``items.tags``."""
        return self.shape is not None and self.shape.selects(path)


Resolver = Callable[[Ask], Awaitable[Any]]


def answers(root: ObjectType, name: str) -> Callable[[Resolver], Resolver]:
    """Bind a resolver to a root field. It returns a plain value, or an object of a type in ``TABLES``, or a list or batch of them."""

    def bind(resolver: Resolver) -> Resolver:
        async def resolve(_: Any, info: GraphQLResolveInfo[Any], **arguments: Any) -> Shaped | None:
            request: GraphqlRequest = info.context
            shape = request.document.shape(info, request.compiler)
            async with request.parallel:
                found = await resolver(Ask(request, arguments, shape))
                if _items(found) <= MANY:
                    await request.interleaver.pause()
                    return shaped(shape, found, info.path.as_list())
                request.has_much = True
                return await asyncio.to_thread(shaped, shape, found, info.path.as_list())  # does not block the event loop

        root.set_field(name, resolve)
        return resolver

    return bind


def _items(found: Any) -> int:
    """The length of a list, or of the list in a page."""
    if isinstance(found, Batch):
        return found.size
    items = getattr(found, "items", found)
    return len(items) if isinstance(items, list | tuple) else 1
