"""Rejections are followed in the order in which they became known, each exactly once."""

from typing import Any

from cli.commands.rejections import PAGE, after, newest, then_shown
from shared.database.engine import opened
from shared.settings import DatabaseSettings
from tests.gateway.rows import write


def rejected(seq: int, time: float, code: str = "job_not_found") -> dict[str, Any]:
    return {"seq": seq, "origin": f"{seq}", "time": time, "code": code, "text": "", "excerpt": ""}


async def test_a_stop_without_start_is_shown_when_it_is_rejected(database: DatabaseSettings) -> None:
    await write(database, "rejection", [rejected(1, 100.0), rejected(2, 101.0), rejected(3, 160.0, "start_never_came"), rejected(5, 150.0)])
    async with opened(database, read_only=True) as engine:
        first, shown = await newest(engine, 2, None)
        assert [row.seq for row in first] == [5, 3]
        assert await after(engine, shown, None) == []
        await write(database, "rejection", [rejected(4, 170.0, "start_never_came"), rejected(6, 149.0)])
        found = await after(engine, shown, None)
        assert [row.seq for row in found] == [6, 4]
        assert await after(engine, then_shown(shown, found), None) == []
        assert [row.seq for row in await after(engine, shown, "job_not_found")] == [6]


async def test_a_full_page_hides_no_rejection(database: DatabaseSettings) -> None:
    await write(database, "rejection", [rejected(5000, 10.0)])
    async with opened(database, read_only=True) as engine:
        _, shown = await newest(engine, 1, None)
        late = [rejected(seq, 50.0, "already_stopped") for seq in range(4700, 4700 + PAGE + 100) if seq != 5000]
        await write(database, "rejection", late)
        seen: list[int] = []
        while found := await after(engine, shown, None):
            seen += [row.seq for row in found]
            shown = then_shown(shown, found)
    assert seen == [row["seq"] for row in late]
