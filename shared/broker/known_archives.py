"""The places where the archiver has seen an archive, recorded in the bucket ``progress``.

A file system that is not mounted looks like an empty folder, which would become an archive without this record.
"""

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, KeyWrongLastSequenceError, NotFoundError

from shared.broker.streams import progress_bucket
from shared.errors import Unavailable
from shared.settings import NatsSettings

MAX_RACES = 20
KEY = "archiver.archives"  # only the broker user of the archiver may write it


class KnownArchives:
    def __init__(self, client: Client, nats: NatsSettings) -> None:
        self._client = client
        self._bucket = progress_bucket(nats)

    async def read(self) -> set[str]:
        """Empty when none has been recorded. Raises Unavailable."""
        return (await self._read())[0]

    async def _read(self) -> tuple[set[str], int]:
        """The places, and the revision of their record."""
        try:
            entry = await (await self._client.jetstream(timeout=5).key_value(self._bucket)).get(KEY)
            return msgspec.json.decode(entry.value or b"[]", type=set[str]), entry.revision or 0
        except (BucketNotFoundError, KeyNotFoundError, NotFoundError):
            return set(), 0
        except msgspec.MsgspecError as e:
            raise Unavailable(f"the record of known archives cannot be read: {e}") from e
        except (NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not return which archives are known: {e!r}") from e

    async def add(self, place: str) -> None:
        """Several may add at once. Raises Unavailable."""
        for _ in range(MAX_RACES):
            known, revision = await self._read()
            if place in known:
                return
            try:
                value = msgspec.json.encode(sorted(known | {place}))
                await (await self._client.jetstream(timeout=5).key_value(self._bucket)).update(KEY, value, last=revision)
                return
            except KeyWrongLastSequenceError:
                continue
            except (NatsError, TimeoutError, OSError) as e:
                raise Unavailable(f"the broker does not store which archives are known: {e!r}") from e
        raise Unavailable("the record of known archives keeps changing")
