"""Subscriptions: the changes of jobs and nodes, in the form of the selection."""

from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from typing import Any, cast

from ariadne import SubscriptionType
from graphql import GraphQLResolveInfo

from services.gateway.graphql.failures import error_object
from services.gateway.graphql.request import Ask, GraphqlRequest
from services.gateway.graphql.shape import shaped
from services.gateway.graphql.shapes.changes import ChangeView
from services.gateway.graphql.shapes.jobs import JobView
from services.gateway.live.changes import Change, JobChange, JobDeletion, NodeChange
from services.gateway.live.clients import Kind, viewer
from services.gateway.live.feed import Follower
from shared.backoff import Backoff, sleep_unless
from shared.errors import Unavailable

Json = dict[str, Any]
SUBSCRIPTION = SubscriptionType()
TAKE_S = 60.0  # any time: a follower wakes by itself

Views = Callable[[Ask, Sequence[Change]], Awaitable[list[ChangeView]]]


def _streams(name: str, kind: Kind) -> Callable[[Views], Views]:
    """Bind a subscription: what it makes of some changes that the viewer may see."""

    def bind(views: Views) -> Views:
        async def begin(_: Any, info: "GraphQLResolveInfo[Any]", **arguments: Any) -> AsyncGenerator[Json, None]:
            """Payloads of ``next``; what is raised here is the answer instead."""
            request: GraphqlRequest = info.context
            ask = Ask(request, arguments, request.document.shape(info, request.compiler))
            eyes = viewer(request.user, frozenset({kind}), None)
            follower = await request.site.live.feed.open(ask["after"])

            async def payloads() -> AsyncGenerator[Json, None]:
                with follower:
                    async for batch in _batches(ask, follower, lambda changes: [c for c in changes if eyes.admits(c)], views):
                        for view in batch:
                            yield _payload(ask, info.path.key, view)

            return payloads()

        SUBSCRIPTION.set_source(name, cast("Any", begin))  # a coroutine that gives the generator, so that a refusal is an answer
        return views

    return bind


async def _batches(
    ask: Ask, follower: Follower, admitted: Callable[[Sequence[Change]], list[Change]], views: Views
) -> AsyncGenerator[list[ChangeView], None]:
    """Until the gateway stops. A database that is away is waited for."""
    feed, pause = ask.site.live.feed, Backoff(first_s=0.2, most_s=5.0)
    left: Sequence[Change] = ()
    yield [ChangeView(follower.cursor, "START")]
    while not feed.closed.is_set():
        try:
            if not left:
                taken = await follower.take(TAKE_S)
                if taken is not None and taken.is_reset:
                    yield [ChangeView(taken.cursor, "RESET")]
                    continue
                left = admitted(taken.changes) if taken is not None else ()
            found = await views(ask, left) if left else []
        except Unavailable:
            await sleep_unless(feed.closed, pause.next_s())
            continue
        pause.reset()
        left = ()
        yield found


def _payload(ask: Ask, key: str | int, view: ChangeView) -> Json:
    written = shaped(ask.shape, view, [key])
    assert written is not None
    payload: Json = {"data": {key: written.value}}
    if written.failures:
        payload["errors"] = [error_object(error) for error in written.failures]
    return payload


@_streams("jobs", "job")
async def jobs(ask: Ask, changes: Sequence[Change]) -> list[ChangeView]:
    now = int(ask.site.clock())
    scopes = frozenset(ask.user.readable_scopes)
    found = []
    for change in changes:
        if isinstance(change, JobDeletion):
            found.append(ChangeView(change.resume, "DELETED", change.id))
        elif isinstance(change, JobChange):
            tags = [tag for tag in change.tags if tag.scope in scopes]
            found.append(ChangeView(change.resume, "CHANGED", change.job.id, JobView(change.job, now, tags)))
    return found


@_streams("nodes", "node")
async def nodes(ask: Ask, changes: Sequence[Change]) -> list[ChangeView]:
    return [ChangeView(change.resume, "CHANGED", change.node.id, change.node) for change in changes if isinstance(change, NodeChange)]
