"""A running metric store in this process, and clients of it."""

import base64
import json
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from services.metricstore.app import run
from services.metricstore.settings import MetricStoreSettings, Settings
from shared.broker.clusters import add_cluster
from shared.broker.streams import METRICS
from shared.settings import NatsSettings
from tests.support.in_process import running_in_process
from tests.support.nats import client_of
from tests.support.waiting import until

NOVA = {"cpu_load": (10, "avg"), "flops_any": (10, "sum"), "mem_used": (60, "sum"), "silent": (60, "")}
QUICK = MetricStoreSettings(health="127.0.0.1:0", http="127.0.0.1:0")
KEY = Ed25519PrivateKey.generate()
PUBLIC_KEY = base64.b64encode(KEY.public_key().public_bytes_raw()).decode()


def token(claims: dict[str, Any] | None = None, key: Any = KEY, algorithm: str = "EdDSA") -> str:
    return jwt.encode({"sub": "tests", "roles": ["api"]} if claims is None else claims, key, algorithm=algorithm)


def cluster_text(name: str, metrics: dict[str, tuple[int, str]], nodes: str = "*") -> bytes:
    """A cluster whose metrics have the given timestep and aggregation."""
    return json.dumps(
        {
            "name": name,
            "metricConfig": [
                {"name": metric, "unit": {"base": ""}, "scope": "node", "timestep": step, "aggregation": aggregation}
                for metric, (step, aggregation) in metrics.items()
            ],
            "subClusters": [{"name": "main", "nodes": nodes, "topology": {"node": [0, 1], "core": [[0], [1]], "socket": [[0, 1]]}}],
        }
    ).encode()


async def add(nats: NatsSettings, *texts: bytes) -> None:
    async with client_of(nats) as client:
        for text in texts:
            await add_cluster(client, nats, text)


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


@dataclass
class StoreClient:
    """An HTTP client of one metric store."""

    address: str
    health: str
    session: aiohttp.ClientSession

    async def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None, query: str = ""
    ) -> Answer:
        url = f"http://{self.address}{path}" + (f"?{query}" if query else "")
        async with self.session.request(method, url, data=body, headers=headers or {}, allow_redirects=False) as answer:
            return Answer(answer.status, await answer.text())

    async def write(self, *lines: str, query: str = "") -> Answer:
        return await self.send("POST", "/api/write/", "\n".join(lines).encode(), query=query)

    async def query(self, request: dict[str, Any]) -> Any:
        answer = await self.send("GET", "/api/query/", json.dumps(request).encode())
        assert answer.status == 200, answer
        return answer.json

    async def values(self, cluster: str, host: str, metric: str, start: int, end: int, **more: Any) -> list[float | None]:
        """The samples of one series, without padding."""
        query = {"metric": metric, "host": host, **more}
        found = await self.query({"cluster": cluster, "from": start, "to": end, "queries": [query], "with-padding": False})
        return found["results"][0][0].get("data", []) if found["results"][0] else []

    async def numbers(self) -> dict[str, float]:
        """The Prometheus metrics of the service."""
        async with self.session.get(f"http://{self.health}/metrics") as answer:
            lines = (await answer.text()).splitlines()
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines if not line.startswith("#"))}


@asynccontextmanager
async def running(nats: NatsSettings, settings: MetricStoreSettings = QUICK) -> AsyncIterator[StoreClient]:
    """A metric store in this process until the block ends. Without a ``path`` it uses a new folder."""
    with ExitStack() as stack:
        if "path" not in settings.model_fields_set:
            settings = settings.model_copy(update={"path": Path(stack.enter_context(tempfile.TemporaryDirectory()))})
        async with (
            running_in_process(lambda stop, report: run(Settings(nats, settings), stop, report)) as addresses,
            aiohttp.ClientSession() as session,
        ):
            yield StoreClient(addresses["http"], addresses["health"], session)


def now() -> int:
    return int(time.time())


async def read_to_the_end(nats: NatsSettings, store: StoreClient, deadline_s: float = 20.0) -> None:
    async with client_of(nats) as client:
        end = (await client.jetstream().stream_info(nats.stream(METRICS))).state.last_seq

    async def is_read() -> bool:
        return (await store.numbers())["jobtide_metricstore_position"] >= end

    await until(is_read, deadline_s)
