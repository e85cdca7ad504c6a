"""Repeats queries, measures them and checks the answers."""

import itertools
import time
from dataclasses import dataclass, field
from typing import Any

import orjson

from bench.dashboard import checks
from bench.dashboard.client import Client, QueryFailed, without_garbage_collection
from bench.dashboard.documents import LIST
from bench.dashboard.oracle import Oracle
from bench.dashboard.queries import Query
from bench.history.jobs import History
from bench.support.database import reading
from bench.support.percentiles import percentile, summary_ms
from shared.database.tables import hpc_user, tables
from shared.settings import DatabaseSettings

WARM_UP = 15  # requests: connections and caches are as in a gateway that runs for a while
_MEASURED, _VERIFIED, _WARMED = 1, 2, 3  # seeds


@dataclass(slots=True)
class Times:
    """Figures of the requests of one query."""

    seconds: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)

    def ms(self, percent: float) -> float:
        return percentile(self.seconds, percent) * 1000

    def details(self) -> dict[str, Any]:
        return {"ms": summary_ms(self.seconds), "largest_answer_bytes": max(self.sizes)}


async def warm_up(client: Client, query: Query, history: History, requests: int = WARM_UP) -> None:
    await measure(client, query, history, requests, seed=_WARMED)


async def measure(
    client: Client,
    query: Query,
    history: History,
    requests: int,
    *,
    document: str | None = None,
    encoding: str = "identity",
    seed: int = _MEASURED,
) -> Times:
    """One client, one request after the other, each with its own parameters. Raises what ``Client.ask`` does."""
    times = Times()
    with without_garbage_collection():
        for variables in itertools.islice(query.variables(seed, history), requests):
            answer = await client.ask(document or query.document, variables, encoding)
            times.seconds.append(answer.seconds)
            times.sizes.append(answer.size)
    return times


async def wrong_answer(client: Client, query: Query, history: History, oracle: Oracle, answers: int) -> str | None:
    """What is wrong with the first answer that is, or that was refused."""
    for variables in itertools.islice(query.variables(_VERIFIED, history), answers):
        before = time.time()
        try:
            answer = await client.ask(query.with_count or query.document, variables)
            query.check(oracle, variables, answer.data, checks.Asked(before, time.time()))
        except (checks.WrongAnswer, QueryFailed) as e:
            return f"{query.name}, {orjson.dumps(variables).decode()}: {e}"
    return None


async def wrong_row(client: Client, query: Query, history: History, database: DatabaseSettings) -> str | None:
    """What is wrong with one item of a list, every field of it."""
    variables = next(query.variables(_VERIFIED, history))
    try:
        items = (await client.ask(LIST, variables)).data["jobs"]["items"]
        for item in items[len(items) // 2 :][:1]:
            checks.check_row(item, *await _stored(database, item["id"]))
    except (checks.WrongAnswer, QueryFailed) as e:
        return f"a row of {query.name}, {orjson.dumps(variables).decode()}: {e}"
    return None


async def _stored(database: DatabaseSettings, id_: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
    """The row with its JSON read and its tags that the benchmark's user may see, and its user when he is known."""
    columns = [column.name for column in tables.job.columns]
    async with reading(database) as reader:
        (values,) = await reader.rows(f"SELECT {', '.join(columns)} FROM job WHERE id = {id_}")
        row = dict(zip(columns, values, strict=True))
        for name in ("meta_data", "resources", "footprint", "energy_footprint"):
            row[name] = None if row[name] is None else orjson.loads(row[name])
        tags = await reader.rows(
            "SELECT tag.id, tag_type, tag_name, tag_scope FROM tag JOIN jobtag ON tag.id = jobtag.tag_id"
            f" WHERE jobtag.job_id = {id_} AND tag_scope IN ('global', 'admin') ORDER BY tag.id"
        )
        users = await reader.rows(f"SELECT name, email FROM {hpc_user.name} WHERE username = '{row['hpc_user']}'")
    row["tags"] = [dict(zip(("id", "type", "name", "scope"), tag, strict=True)) for tag in tags]
    return row, {"username": row["hpc_user"], "name": users[0][0], "email": users[0][1]} if users else None
