"""Rejections in the order in which they became known, none missed and none twice."""

from typing import Any

from cli.commands.rejections import Shown, after, newest
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.rows import write


def rejected(seq: int, time: float, code: str = "job_not_found") -> dict[str, Any]:
    return {"seq": seq, "origin": f"{seq}", "time": time, "code": code, "text": "", "excerpt": ""}


async def test_a_stop_whose_start_never_came_is_shown_when_that_is_known(database: DatabaseSettings) -> None:
    await write(database, "rejection", [rejected(1, 100.0), rejected(2, 101.0), rejected(3, 160.0, "start_never_came"), rejected(5, 150.0)])
    async with opened(database, read_only=True) as engine:
        first = await newest(engine, 2, None)
        assert [row.seq for row in first] == [5, 3]
        shown = Shown.at_first(first)
        assert await after(engine, shown, None) == []
        await write(database, "rejection", [rejected(4, 170.0, "start_never_came"), rejected(6, 149.0)])
        found = await after(engine, shown, None)
        assert [row.seq for row in found] == [4, 6]
        assert await after(engine, shown.then(found), None) == []
        assert [row.seq for row in await after(engine, shown, "job_not_found")] == [6]
