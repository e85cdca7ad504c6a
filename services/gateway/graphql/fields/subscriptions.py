"""Subscriptions to changes of jobs and nodes."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Literal, cast

from ariadne import SubscriptionType
from graphql import GraphQLResolveInfo

from services.gateway.graphql.arguments import job_filters
from services.gateway.graphql.failures import error_object
from services.gateway.graphql.fields.jobs import COLUMNS, JobView, views
from services.gateway.graphql.fields.nodes import NodeView, node_filters
from services.gateway.graphql.request import Ask, GraphqlRequest
from services.gateway.graphql.shape import Getter, Tables, shaped
from services.gateway.live.changes import Change, JobChange, JobDeletion, NodeChange
from services.gateway.live.clients import Kind, viewer
from services.gateway.live.feed import Follower
from services.gateway.live.resume import resume_text
from services.gateway.reading.model import JobFilter, Order, Slice, StoredJob
from services.gateway.reading.nodes import NodeFilter
from shared.backoff import Backoff, sleep_unless
from shared.database.progress import Progress
from shared.errors import Unavailable

ChangeKind = Literal["START", "CHANGED", "DELETED", "RESET"]


@dataclass(frozen=True, slots=True)
class ChangeView:
    """``seen`` is the job or node after the change."""

    at: Progress
    kind: ChangeKind
    id: int | None = None
    seen: JobView | NodeView | None = None


def _cursor(view: ChangeView) -> str:
    return resume_text(view.at)


def _id(view: ChangeView) -> str | None:
    return None if view.id is None else str(view.id)


_CHANGE: dict[str, Getter] = {"cursor": _cursor, "kind": attrgetter("kind"), "id": _id}


Json = dict[str, Any]
SUBSCRIPTION = SubscriptionType()
TAKE_S = 60.0  # arbitrary: the feed wakes followers when there are changes

Views = Callable[[Ask, Sequence[Change]], Awaitable[list[ChangeView]]]


def _streams(name: str, kind: Kind) -> Callable[[Views], Views]:
    """Bind a resolver from changes, filtered by the user's permissions, to views."""

    def bind(resolver: Views) -> Views:
        async def begin(_: Any, info: "GraphQLResolveInfo[Any]", **arguments: Any) -> AsyncGenerator[Json, None]:
            """Returns the generator of payloads. An exception raised here is answered as an error."""
            request: GraphqlRequest = info.context
            ask = Ask(request, arguments, request.document.shape(info, request.compiler))
            eyes = viewer(request.user, frozenset({kind}), None)
            await resolver(ask, ())  # an invalid filter is refused before the first event
            follower = await request.gateway.live.feed.open(ask["after"])

            async def payloads() -> AsyncGenerator[Json, None]:
                with follower:
                    async for batch in _batches(ask, follower, lambda changes: [c for c in changes if eyes.admits(c)], resolver):
                        for view in batch:
                            yield _payload(ask, info.path.key, view)

            return payloads()

        SUBSCRIPTION.set_source(name, cast("Any", begin))  # a coroutine that returns the generator, so that a refusal is an answer
        return resolver

    return bind


async def _batches(
    ask: Ask, follower: Follower, admitted: Callable[[Sequence[Change]], list[Change]], resolver: Views
) -> AsyncGenerator[list[ChangeView], None]:
    """Runs until the gateway stops. Retries while the database cannot be reached."""
    feed, pause = ask.gateway.live.feed, Backoff(first_s=0.2, max_s=5.0)
    left: Sequence[Change] = ()
    yield [ChangeView(follower.at, "START")]
    while not feed.closed.is_set():
        try:
            if not left:
                taken = await follower.take(TAKE_S)
                if taken is not None and taken.is_reset:
                    yield [ChangeView(taken.at, "RESET")]
                    continue
                left = admitted(taken.changes) if taken is not None else ()
            found = await resolver(ask, left) if left else []
        except Unavailable:
            await sleep_unless(feed.closed, pause.next_s())
            continue
        pause.reset()
        left = ()
        await asyncio.sleep(0)  # many chunks may be ready at once: let other tasks run in between
        yield found


def _payload(ask: Ask, key: str | int, view: ChangeView) -> Json:
    written = shaped(ask.shape, view, [key])
    assert written is not None
    payload: Json = {"data": {key: written.value}}
    if written.failures:
        payload["errors"] = [error_object(error) for error in written.failures]
    return payload


_STORED = frozenset(field.name for field in fields(StoredJob)) - {"meta_data"}
_SURROUNDINGS = frozenset({"concurrentJobs", "userData"})


@_streams("jobs", "job")
async def jobs(ask: Ask, changes: Sequence[Change]) -> list[ChangeView]:
    """The feed carries the fields of lists. If others are selected, one query per batch reads them."""
    changed = {change.job.id: change for change in changes if isinstance(change, JobChange)}
    wanted = await _matching_jobs(ask, list(changed))
    assert ask.shape is not None
    names = ask.shape.at("job")
    if names & _SURROUNDINGS or any(column not in _STORED for name in names for column in COLUMNS.get(name, ())):
        found = {view.row.id: view for view in await views(_fresh_request(ask), wanted, names | {"id"})}
    else:
        now, scopes = int(ask.gateway.clock()), frozenset(ask.user.readable_scopes)
        found = {key: JobView(changed[key].job, now, [tag for tag in changed[key].tags if tag.scope in scopes]) for key in wanted}
    result = []
    for change in changes:
        if isinstance(change, JobDeletion):
            result.append(ChangeView(change.resume, "DELETED", change.id))
        elif isinstance(change, JobChange) and change.job.id in found:
            result.append(ChangeView(change.resume, "CHANGED", change.job.id, found[change.job.id]))
    return result


async def _matching_jobs(ask: Ask, keys: Sequence[int]) -> Sequence[int]:
    """Raises RequestError for an invalid filter, also without keys."""
    where = job_filters(ask["filter"], ask.gateway.clock())
    if not where or not keys:
        return keys
    return await ask.gateway.jobs.select(ask.user, [*where, JobFilter(ids=tuple(keys))], Order(), Slice(None))


@_streams("nodes", "node")
async def nodes(ask: Ask, changes: Sequence[Change]) -> list[ChangeView]:
    changed = {change.node.id: change for change in changes if isinstance(change, NodeChange)}
    where = node_filters(ask["filter"])
    if where and changed:
        rows = await ask.gateway.nodes.all([*where, NodeFilter(ids=tuple(changed))])
        found = {row.id for row in rows}
        changed = {key: change for key, change in changed.items() if key in found}
    return [ChangeView(change.resume, "CHANGED", key, NodeView(change.node, with_meta=True)) for key, change in changed.items()]


def _fresh_request(ask: Ask) -> GraphqlRequest:
    """A new context per batch, because ``once`` caches for the lifetime of the request, here the subscription's."""
    request = ask.request
    return GraphqlRequest(
        request.settings, request.gateway, request.user, request.document, request.compiler, request.parallel, request.interleaver
    )


TABLES: Tables = {
    "JobChange": _CHANGE | {"job": attrgetter("seen")},
    "NodeChange": _CHANGE | {"node": attrgetter("seen")},
}
