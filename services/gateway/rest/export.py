"""Exports jobs of a list as files."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import hdrs, web

from services.gateway.call import Call
from services.gateway.errors import bad_request
from services.gateway.frame.credentials import Guard
from services.gateway.frame.layers import compress
from services.gateway.frame.query import read_query
from services.gateway.frame.routes import Routes
from services.gateway.reading.model import JobSelection, Slice
from services.gateway.rest.export_rows import READ, Record, csv_lines, footprint_keys, json_lines, names, records, write_parquet
from services.gateway.rest.jobs import stream
from services.gateway.rest.list_query import JobListQuery

routes = Routes[Call]("export", guard=Guard.PAGE)

_PART_BYTES = 1 << 20  # of a file, sent at once


@routes("GET", "/frontend/export/jobs.csv", query=JobListQuery, answers={200: str}, failures=(400, 503))
async def export_csv(call: Call) -> web.StreamResponse:
    """The jobs of a list as CSV, with a header."""
    footprints, chunks = await _chosen(call)

    async def parts() -> AsyncIterator[bytes]:
        yield csv_lines([names(footprints)])
        async for rows in chunks:
            yield csv_lines(row.values() for row in rows)

    return await _send(call, parts(), "text/csv", "jobs.csv")


@routes("GET", "/frontend/export/jobs.ndjson", query=JobListQuery, answers={200: str}, failures=(400, 503))
async def export_ndjson(call: Call) -> web.StreamResponse:
    """The jobs of a list, one JSON object per line."""
    _, chunks = await _chosen(call)
    return await _send(call, (json_lines(rows) async for rows in chunks), "application/x-ndjson", "jobs.ndjson")


@routes("GET", "/frontend/export/jobs.parquet", query=JobListQuery, answers={200: bytes}, failures=(400, 503))
async def export_parquet(call: Call) -> web.StreamResponse:
    """The jobs of a list as a Parquet file."""
    footprints, chunks = await _chosen(call)
    with tempfile.TemporaryDirectory(prefix="jobtide-export-") as folder:
        lines, table = Path(folder, "jobs.ndjson"), Path(folder, "jobs.parquet")
        with await asyncio.to_thread(lines.open, "wb") as file:
            async for rows in chunks:
                await asyncio.to_thread(file.write, json_lines(rows))
        await asyncio.to_thread(write_parquet, lines, table, footprints)
        return await _send(call, _parts_of(table), "application/vnd.apache.parquet", "jobs.parquet")


async def _chosen(call: Call) -> tuple[list[str], AsyncIterator[list[Record]]]:
    """The footprint columns, and the rows in chunks. Raises RequestError (400), also for too many jobs; Unavailable."""
    gateway, now = call.gateway, call.gateway.clock()
    query, most = read_query(JobListQuery, call.request), gateway.settings.export_jobs
    keys = await gateway.jobs.select(call.user, [query.filter(now)], query.order(now), Slice(most + 1))
    if len(keys) > most:
        raise bad_request(f"export: more than {most} jobs match (setting gateway.export_jobs); restrict the filters")
    footprints = footprint_keys(gateway.link.clusters, call.user)

    async def chunks() -> AsyncIterator[list[Record]]:
        size = gateway.settings.chunk_rows
        for first in range(0, len(keys), size):
            found = await gateway.jobs.jobs(call.user, keys[first : first + size], JobSelection(READ, tags=True))
            yield records(found, footprints, now)

    return footprints, chunks()


async def _parts_of(path: Path) -> AsyncIterator[bytes]:
    with await asyncio.to_thread(path.open, "rb") as file:
        while part := await asyncio.to_thread(file.read, _PART_BYTES):
            yield part


async def _send(call: Call, parts: AsyncIterator[bytes], content_type: str, name: str) -> web.StreamResponse:
    response = web.StreamResponse(headers={hdrs.CONTENT_TYPE: content_type, hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'})
    response.headers[hdrs.CACHE_CONTROL] = "private, no-store"
    compress(call.request, response)
    return await stream(call.request, response, parts)
