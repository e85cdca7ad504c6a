"""Which rules of advice are in use. The archiver records them in the bucket ``progress``; the gateway shows them."""

import msgspec
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.errors import BucketNotFoundError, KeyNotFoundError, NotFoundError

from shared.broker.streams import progress_bucket
from shared.errors import Unavailable
from shared.settings import NatsSettings

KEY = "archiver.rules"  # only the broker user of the archiver may write it
Value = float | int | str | bool


class RuleOverride(msgspec.Struct, frozen=True, rename="camel"):
    """Other values on a cluster, or on one of its subclusters."""

    cluster: str
    subcluster: str | None
    values: dict[str, Value]


class RuleInUse(msgspec.Struct, frozen=True, rename="camel"):
    """``file`` is in the folder of the site unless ``is_shipped``. ``replaces_shipped``: instead of the shipped rule with this tag."""

    tag: str
    title: str
    severity: str
    file: str
    is_shipped: bool
    replaces_shipped: bool
    while_running: bool
    metrics: list[str]
    parameters: dict[str, Value]
    overrides: list[RuleOverride]
    link: str


class RulesInUse(msgspec.Struct, frozen=True, rename="camel"):
    """``refused`` has a line for each unusable file, ``ignored`` one for each that is no rule file. ``at`` is in Unix seconds."""

    at: int
    is_enabled: bool
    folder: str | None = None
    rules: list[RuleInUse] = []
    refused: list[str] = []
    ignored: list[str] = []
    applications: list[str] = []


class RecordedRules:
    """The record of the archiver that read its rules last."""

    def __init__(self, client: Client, nats: NatsSettings) -> None:
        self._client = client
        self._bucket = progress_bucket(nats)

    async def record(self, rules: RulesInUse) -> None:
        """Raises Unavailable."""
        try:
            await (await self._client.jetstream(timeout=5).key_value(self._bucket)).put(KEY, msgspec.json.encode(rules))
        except (NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not store which rules are in use: {e!r}") from e

    async def read(self) -> RulesInUse | None:
        """None when no archiver has recorded anything. Raises Unavailable."""
        try:
            entry = await (await self._client.jetstream(timeout=5).key_value(self._bucket)).get(KEY)
            return msgspec.json.decode(entry.value or b"", type=RulesInUse)
        except (BucketNotFoundError, KeyNotFoundError, NotFoundError):
            return None
        except msgspec.MsgspecError as e:
            raise Unavailable(f"the record of the rules in use cannot be read: {e}") from e
        except (NatsError, TimeoutError, OSError) as e:
            raise Unavailable(f"the broker does not return which rules are in use: {e!r}") from e
