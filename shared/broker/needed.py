"""The time from which the samples of each cluster are still needed. The archiver records it; the metric store retains these files."""

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, NotFoundError

from shared.broker.streams import progress_bucket
from shared.errors import Unavailable
from shared.settings import NatsSettings

KEY = "archiver"  # only the broker user of this name may write it


class NeededSamples:
    """Unix seconds by cluster; a cluster without unarchived jobs has no entry."""

    def __init__(self, client: Client, nats: NatsSettings) -> None:
        self._client = client
        self._bucket = progress_bucket(nats)

    async def record(self, since: dict[str, int]) -> None:
        """Raises Unavailable."""
        try:
            await (await self._client.jetstream(timeout=5).key_value(self._bucket)).put(KEY, msgspec.json.encode(since))
        except (NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not store which samples are needed: {e!r}") from e

    async def read(self) -> dict[str, int]:
        """Empty when no archiver has recorded anything. Raises Unavailable."""
        try:
            entry = await (await self._client.jetstream(timeout=5).key_value(self._bucket)).get(KEY)
            return msgspec.json.decode(entry.value or b"{}", type=dict[str, int])
        except (BucketNotFoundError, KeyNotFoundError, NotFoundError):
            return {}
        except msgspec.MsgspecError as e:
            raise Unavailable(f"the record of the samples that are needed cannot be read: {e}") from e
        except (NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not return which samples are needed: {e!r}") from e
