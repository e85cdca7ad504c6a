"""Cluster definitions in the broker's key-value bucket, live in every service."""

import asyncio
from collections.abc import Iterator, Mapping

import structlog
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import KeyNotFoundError, NotFoundError
from pydantic import ValidationError

from shared.backoff import sleep_unless
from shared.broker.envelope import subject_token
from shared.broker.streams import clusters_bucket, identity
from shared.domain.clusters import Cluster, read_cluster, read_new_cluster
from shared.errors import Unavailable, UserError
from shared.settings import NatsSettings

log = structlog.get_logger()

REFRESH_S = 1.0


class ClusterDirectory(Mapping[str, Cluster]):
    """The configured clusters by name; ``keep_fresh`` follows the bucket.

    Polls the bucket's last sequence instead of watching: a nats-py watcher may receive nothing after a reconnect.
    """

    def __init__(self, client: Client, nats: NatsSettings) -> None:
        self._client = client
        self._bucket = clusters_bucket(nats)
        self._clusters: dict[str, Cluster] = {}
        self._raw: dict[str, bytes] = {}
        self._seen: tuple[str, int] | None = None

    def __getitem__(self, name: str) -> Cluster:
        return self._clusters[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._clusters)

    def __len__(self) -> int:
        return len(self._clusters)

    @property
    def is_read(self) -> bool:
        """Whether the bucket was read at least once."""
        return self._seen is not None

    def raw(self, name: str) -> bytes:
        """The cluster.json exactly as added."""
        return self._raw[name]

    async def refresh(self) -> bool:
        """Read the bucket again if it has changed; returns whether it had. Raises Unavailable."""
        js = self._client.jetstream(timeout=5)
        prefix = f"$KV.{self._bucket}."
        try:
            # One response with the keys and their sequence. KeyValue.keys() of nats-py 2.16 occasionally reports a bucket
            # with one key as empty, when that key arrives while it asks for the number of keys.
            info = await js.stream_info(f"KV_{self._bucket}", subjects_filter=f"{prefix}>")
            state, seen = info.state, (identity(info), info.state.last_seq)
            if seen == self._seen:
                return False
            kv = await js.key_value(self._bucket)
            clusters, raw = {}, {}
            for key in sorted(subject.removeprefix(prefix) for subject in state.subjects or {}):
                try:
                    value = (await kv.get(key)).value or b""
                except KeyNotFoundError:
                    continue  # removed meanwhile
                cluster = self._read(key, value)
                if cluster is not None:
                    clusters[cluster.name] = cluster
                    raw[cluster.name] = value
        except NotFoundError as e:
            raise Unavailable(f"the bucket {self._bucket} does not exist; run `jobtide provision`") from e
        except (NatsError, TimeoutError, OSError) as e:
            raise Unavailable("the broker does not answer for the clusters") from e
        self._clusters, self._raw, self._seen = clusters, raw, seen
        log.info("clusters_read", clusters=sorted(clusters))
        return True

    @staticmethod
    def _read(key: str, value: bytes) -> Cluster | None:
        try:
            return read_cluster(value)
        except ValidationError as e:
            log.error("cluster_unreadable", key=key, error=str(e)[:500])
            return None

    async def keep_fresh(self, stop: asyncio.Event) -> None:
        """Follow changes until ``stop``."""
        is_away = False
        while not await sleep_unless(stop, REFRESH_S):
            try:
                await self.refresh()
                is_away = False
            except Unavailable as e:
                if not is_away:
                    log.warning("clusters_not_refreshed", why=str(e))
                is_away = True


async def add_cluster(client: Client, nats: NatsSettings, text: bytes) -> Cluster:
    """Add or replace one cluster. Raises UserError when ``text`` is not a cluster definition."""
    try:
        cluster = read_new_cluster(text)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        raise UserError(f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from e
    try:
        kv = await client.jetstream(timeout=5).key_value(clusters_bucket(nats))
        await kv.put(subject_token(cluster.name), text)
    except (NatsError, TimeoutError) as e:
        raise Unavailable("the broker did not take the cluster; run `jobtide provision`, then try again") from e
    return cluster
