"""Rejections and their replay: for programs with a token, and for the pages of admins and support with a session."""

import re
import time
from typing import Annotated, Any

import structlog
from aiohttp import web
from pydantic import Field

from services.gateway.call import Call
from services.gateway.errors import bad_request, not_found
from services.gateway.frame.answers import answer
from services.gateway.frame.credentials import Guard
from services.gateway.frame.query import Integer, Positive, StrictQuery, read_query
from services.gateway.frame.routes import Routes
from services.gateway.reading.rejections import (
    RejectionCursor,
    RejectionFilter,
    one_rejection,
    places,
    rejection_summary,
    rejections,
    replayed_messages,
)
from services.gateway.rest.models import (
    DismissedRejections,
    RejectionDetail,
    RejectionList,
    RejectionOverview,
    ReplayBegun,
    ReplayedMessages,
    ReplayState,
)
from services.gateway.rest.received import job_in, received
from shared.broker.streams import EVENTS, INTAKE, REJECTIONS
from shared.domain.events import RefusalsDismissed, RejectionsDismissed
from shared.domain.reasons import NO_REPLAY_HELPS, REASONS, REMEDIES
from shared.domain.values import INT64_MAX
from shared.replay import Replayed, ReplayFilter, intake_origin, replay

log = structlog.get_logger()
routes = Routes[Call]("operation")
pages = Routes[Call]("operators", guard=Guard.STAFF)

MAX_REJECTIONS = 1000
MAX_PLACES = 200
BARS = 24
DAY_S = 86_400
_PLACE = re.compile(f"({EVENTS}|{REJECTIONS})-([0-9]{{1,18}})")


class RejectionQuery(StrictQuery):
    code: list[str] = Field([], description="Only these reason codes.")
    cluster: str | None = Field(None, description="Only this cluster; empty: rejections that name no cluster.")
    since: Integer | None = Field(None, description="Unix seconds; only inputs refused at this time or later.")
    until: Integer | None = Field(None, description="Unix seconds; only inputs refused before this time.")
    after: str | None = Field(None, description="`next` of an earlier answer: only later rejections.")
    items: Annotated[Positive, Field(le=MAX_REJECTIONS)] = Field(25, alias="items-per-page", description="Page size.")
    page: Positive = Field(1, description="Counted from 1.")


@routes("GET", "/api/rejections/", query=RejectionQuery, answers={200: RejectionList}, failures=(400, 503))
@pages("GET", "/frontend/rejections/", query=RejectionQuery, answers={200: RejectionList}, failures=(400, 503))
async def list_rejections(call: Call) -> web.StreamResponse:
    """Inputs that could not take effect, newest first."""
    query = read_query(RejectionQuery, call.request)
    after = None if query.after is None else _cursor("after", query.after)
    wanted = RejectionFilter(query.code, query.since, after, _cluster(query.cluster), query.until)
    rows, reached = await rejections(call.gateway.engine, wanted, limit=query.items, first=(query.page - 1) * query.items)
    return answer({"rejections": [_object(row) for row in rows], "items": query.items, "page": query.page, "next": str(reached)})


class OverviewQuery(StrictQuery):
    code: list[str] = Field([], description="Only these reason codes.")
    cluster: str | None = Field(None, description="Only this cluster; empty: rejections that name no cluster.")
    since: Integer | None = Field(None, description="Unix seconds; by default the last 30 days.")
    after: str | None = Field(None, description="`next` of an earlier answer: only later rejections.")


@pages("GET", "/frontend/rejections/summary/", query=OverviewQuery, answers={200: RejectionOverview}, failures=(400, 503))
async def summarize_rejections(call: Call) -> web.StreamResponse:
    """Counts of rejections by code and cluster, with 24 bars over time."""
    query = read_query(OverviewQuery, call.request)
    now = int(call.gateway.clock())
    since = now - 30 * DAY_S if query.since is None else min(max(0, query.since), now)
    width = max(1, -(-(now - since + 1) // BARS))
    after = None if query.after is None else _cursor("after", query.after)
    wanted = RejectionFilter(query.code, since, after, _cluster(query.cluster))
    found = await rejection_summary(call.gateway.engine, wanted, begin=since, width_s=width, bars=BARS)
    groups = [
        {
            "code": group.code,
            "cluster": group.cluster,
            "count": group.count,
            "replayable": group.replayable,
            "newest": group.newest,
            "bars": group.bars,
        }
        for group in found.groups
    ]
    reasons = [
        {"code": code, "meaning": REASONS[code], "remedy": REMEDIES[code], "replayHelps": code not in NO_REPLAY_HELPS} for code in REASONS
    ]
    span = {"since": since, "barSeconds": width, "next": str(found.reached)}
    return answer({"count": found.count, "groups": groups, "reasons": reasons, **span})


@pages("GET", "/frontend/rejections/{stream}/{sequence}", answers={200: RejectionDetail}, failures=(400, 404, 503))
async def show_rejection(call: Call) -> web.StreamResponse:
    """One rejection with the message as received and the job that it is about."""
    stream, sequence = call.request.match_info["stream"], call.number_in_path("sequence")
    row = await one_rejection(call.gateway.engine, stream, sequence) if stream in (EVENTS, REJECTIONS) else None
    if row is None:
        raise not_found("no such rejection: its message was replayed, or it has expired")
    message, missing = await received(call.gateway.link, row)
    return answer({**_object(row), "message": message, "messageMissing": missing, "job": await job_in(call, row)})


class ReplayQuery(StrictQuery):
    code: str = Field(description="The reason code of the rejections.")
    since: Integer = Field(0, description="Unix seconds; only inputs rejected at this time or later.")
    cluster: str | None = Field(None, description="Rejections of this cluster only; empty: of those that name none.")
    after: Integer = Field(0, description="Intake messages after this sequence only: `last` of the previous answer.")
    until: Positive = Field(INT64_MAX, description="Intake messages up to this sequence only.")

    def wanted(self) -> ReplayFilter:
        """Raises RequestError (400)."""
        if self.code not in REASONS:
            raise bad_request(f"code: {self.code[:60]!r} is none of {', '.join(REASONS)}")
        return ReplayFilter(self.code, self.since, _cluster(self.cluster), self.after, self.until)


@routes("POST", "/api/rejections/replay/", query=ReplayQuery, answers={200: ReplayedMessages}, failures=(400, 503))
async def replay_rejections(call: Call) -> web.StreamResponse:
    """Publish the raw messages of rejections to the intake again, up to 1,000 per request; repeating it is safe."""
    return answer(_replayed(await _replay(call, read_query(ReplayQuery, call.request).wanted())))


@pages("POST", "/frontend/rejections/replay/", query=ReplayQuery, answers={200: ReplayBegun}, failures=(400, 503), guard=Guard.CONFIG)
async def replay_from_page(call: Call) -> web.StreamResponse:
    """Publish the raw messages of rejections to the intake again, by an admin; `before` is for the question what became of them."""
    wanted = read_query(ReplayQuery, call.request).wanted()
    _, before = await rejections(call.gateway.engine, RejectionFilter(), limit=1, first=0)
    return answer({**_replayed(await _replay(call, wanted)), "before": str(before)})


class DismissQuery(StrictQuery):
    place: Annotated[list[str], Field(max_length=MAX_PLACES)] = Field(
        [], description="Only these: stream and sequence, as `REJECTIONS-12`."
    )
    code: str | None = Field(None, description="Only this reason code; required without `place`.")
    cluster: str | None = Field(None, description="Only this cluster; empty: rejections that name none.")
    since: Integer | None = Field(None, description="Unix seconds; only inputs refused at this time or later.")
    until: str | None = Field(None, description="`next` of an earlier answer: only what it could show, nothing that came later.")


@routes("POST", "/api/rejections/dismiss/", query=DismissQuery, answers={200: DismissedRejections}, failures=(400, 503))
@pages(
    "POST", "/frontend/rejections/dismiss/", query=DismissQuery, answers={200: DismissedRejections}, failures=(400, 503), guard=Guard.CONFIG
)
async def dismiss_rejections(call: Call) -> web.StreamResponse:
    """Take handled rejections off the list, up to 1,000 per request; answers when they are gone. The log keeps them."""
    query, commands = read_query(DismissQuery, call.request), call.gateway.commands
    if not query.place and query.code is None:
        raise bad_request("code: is required without place")
    if query.code is not None and query.code not in REASONS:
        raise bad_request(f"code: {query.code[:60]!r} is none of {', '.join(REASONS)}")
    until = None if query.until is None else _cursor("until", query.until)
    wanted = RejectionFilter([] if query.code is None else [query.code], query.since, None, _cluster(query.cluster))
    found = await places(call.gateway.engine, wanted, [_place(text) for text in query.place], until, limit=MAX_REJECTIONS + 1)
    now = found[:MAX_REJECTIONS]
    if sequences := [sequence for stream, sequence in now if stream == REJECTIONS]:
        await commands.applied(await commands.record([RejectionsDismissed(sequences=sequences)], call.user), REJECTIONS)
    if sequences := [sequence for stream, sequence in now if stream == EVENTS]:
        await commands.applied(await commands.record([RefusalsDismissed(sequences=sequences)], call.user))
    log.info("rejections_dismissed", user=call.user.name, code=query.code, cluster=query.cluster, rejections=len(now))
    return answer({"dismissed": len(now), "hasMore": len(found) > len(now)})


def _place(text: str) -> tuple[str, int]:
    found = _PLACE.fullmatch(text)
    if found is None:
        raise bad_request(f"place: {text[:60]!r} is no stream and sequence, such as REJECTIONS-12")
    return found[1], int(found[2])


class ReplayStateQuery(ReplayQuery):
    before: str = Field(description="`before` of the answer to the replay.")


@pages("GET", "/frontend/rejections/replayed/", query=ReplayStateQuery, answers={200: ReplayState}, failures=(400, 503))
async def replay_state(call: Call) -> web.StreamResponse:
    """What became of replayed messages: how many wait to be processed, and how many were refused again."""
    query = read_query(ReplayStateQuery, call.request)
    before, link = _cursor("before", query.before), call.gateway.link
    jetstream = link.client.jetstream(timeout=call.gateway.settings.outcome_timeout_s)
    origin = await intake_origin(jetstream, link.nats.stream(INTAKE))
    waiting, refused = await replayed_messages(call.gateway.engine, origin, query.wanted(), before)
    return answer({"waiting": waiting, "refused": refused})


async def _replay(call: Call, wanted: ReplayFilter) -> Replayed:
    link, settings = call.gateway.link, call.gateway.settings
    jetstream = link.client.jetstream(timeout=settings.outcome_timeout_s)
    began = time.monotonic()
    done = await replay(call.gateway.engine, jetstream, link.publisher, link.nats, wanted, deadline_s=settings.outcome_timeout_s)
    took_ms = round((time.monotonic() - began) * 1000)
    log.info("rejections_replayed", user=call.user.name, code=wanted.code, cluster=wanted.cluster, messages=done.published, took_ms=took_ms)
    return done


def _replayed(done: Replayed) -> dict[str, Any]:
    return {"published": done.published, "expired": done.expired, "last": done.last, "hasMore": done.has_more}


def _cursor(name: str, text: str) -> RejectionCursor:
    found = RejectionCursor.parse(text)
    if found is None:
        raise bad_request(f"{name}: {text[:60]!r} is not from an earlier answer")
    return found


def _cluster(name: str | None) -> str | None:
    if name is not None and "\0" in name:
        raise bad_request("cluster: has a NUL character")
    return name


def _object(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "stream": row["stream"],
        "sequence": row["seq"],
        "time": row["time"],
        "code": row["code"],
        "field": row["field"],
        "text": row["text"],
        "subject": row["subject"],
        "intakeSequence": row["intake_seq"],
        "line": row["line"],
        "jobId": row["job_id"],
        "cluster": row["cluster"],
        "excerpt": row["excerpt"],
    }
