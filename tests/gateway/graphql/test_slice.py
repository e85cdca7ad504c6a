"""The GraphQL interface, end to end."""

from typing import Any

from tests.gateway.rows import job_row, write
from tests.gateway.stack import gateway


async def test_first(site: Any, sqlite_database: Any, archive_settings: Any) -> None:
    await write(sqlite_database, "job", [job_row(key) for key in range(1, 60)])
    async with gateway(site, sqlite_database, archive_settings) as client:
        from tests.gateway.conftest import until_ready

        await until_ready(client)
        for q in [
            "{ clusters { name subClusters { numberOfNodes memoryBandwidth { name } } } }",
            "{ jobs { hasNextPage items { __typename id startTime resources { hostname } metaData a: footprint { name } userData { name } } } }",
            "{ tags { id }",
            "{ tags { id } nope }",
            "{__schema{queryType{name}}}",
        ]:
            r = await client.raw("POST", "/query", {"query": q})
            print(r.status, (await r.text())[:600])
