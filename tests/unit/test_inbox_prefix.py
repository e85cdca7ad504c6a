import pytest

from shared.broker.connection import inbox_prefix
from shared.settings import NatsSettings


@pytest.mark.parametrize(
    ("fields", "prefix"),
    [
        ({"url": "nats://127.0.0.1:4222"}, "_INBOX"),
        ({"url": "nats://gateway:secret@127.0.0.1:4222"}, "_INBOX.gateway"),
        ({"url": "nats://secret-token@127.0.0.1:4222"}, "_INBOX"),  # reply subjects are stored in the log
        ({"url": "gateway:secret@127.0.0.1:4222"}, "_INBOX.gateway"),
        ({"url": "nats://127.0.0.1:4222", "user": "ingest", "password": "secret"}, "_INBOX.ingest"),
    ],
)
def test_only_the_name_of_a_user_becomes_part_of_inboxes(fields: dict[str, str], prefix: str) -> None:
    assert inbox_prefix(NatsSettings.model_validate(fields)) == prefix
