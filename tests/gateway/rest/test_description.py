"""The description of the API and its page."""

import json
import re

from services.gateway.frame.answers import encode
from services.gateway.rest import GROUPS
from services.gateway.rest.description import COMMITTED, document, document_text
from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.gateway.stack import gateway


def test_the_committed_description_is_the_one_of_the_code() -> None:
    """``python -m services.gateway.rest.description`` updates it."""
    assert COMMITTED.read_bytes() == document_text()


def test_every_reference_of_the_description_exists() -> None:
    described = document()
    references = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(described)))
    assert references
    assert references <= set(described["components"]["schemas"])


def test_every_route_is_described_with_its_path_parameters() -> None:
    paths = document()["paths"]
    for route in (route for group in GROUPS for route in group.routes):
        for method in route.methods:
            operation = paths[route.path][method.lower()]
            described = {parameter["name"] for parameter in operation.get("parameters", []) if parameter["in"] == "path"}
            assert described == set(re.findall(r"\{(\w+)\}", route.path))
            assert operation["summary"]


async def test_the_page_loads_everything_from_the_gateway(
    nats_settings: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings
) -> None:
    async with gateway(nats_settings, sqlite_database, archive_settings) as client:
        status, page = await client.get("/swagger/", auth="")
        assert status == 200
        loaded = re.findall(r'(?:src|href)="([^"]+)"', page)
        assert loaded
        assert not [name for name in loaded if "//" in name]
        for name in [*loaded, "doc.json"]:
            response = await client.raw("GET", f"/swagger/{name}", auth="")
            assert (response.status, len(await response.read()) > 50) == (200, True), name
        assert (await client.get("/swagger/doc.json", auth=""))[1] == {**document(), "servers": [{"url": "/"}]}
        assert (await client.raw("GET", "/swagger", auth="")).headers["Location"] == "swagger/"
        assert (await client.get("/swagger/..%2f__init__.py", auth=""))[0] == 404


def test_answers_escape_characters_of_markup() -> None:
    assert encode({"a": "<b>&\u2028"}) == b'{"a":"\\u003cb\\u003e\\u0026\\u2028"}'
