"""Other accounts of the host have no access to an embedded site."""

import asyncio
import stat
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import nats
import pytest
from nats.errors import Error as NatsError
from nats.errors import TimeoutError as NatsTimeoutError

from shared.broker.connection import shown
from tests.cli.conftest import Up
from tests.cli.sites import UpProcess, jobtide
from tests.support.builders import start_line
from tests.support.programs import run_blocking
from tests.support.waiting import until_blocking


def open_to_others(folder: Path) -> Iterator[str]:
    for path in [folder, *folder.rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        if not path.is_symlink() and mode & 0o077:
            yield f"{mode:o} {path.relative_to(folder)}"


async def connects(url: str) -> bool:
    async def ignore(_: Exception) -> None:
        pass

    try:
        client = await nats.connect(url, allow_reconnect=False, max_reconnect_attempts=1, connect_timeout=30, error_cb=ignore)
    except NatsError:
        return False
    await client.close()
    return True


async def is_stored(url: str, subject: str, user: str = "adapter") -> bool:
    """Whether a stream acknowledges a message on the subject."""

    async def ignore(_: Exception) -> None:
        pass

    client = await nats.connect(url, inbox_prefix=f"_INBOX.{user}", error_cb=ignore)
    try:
        with suppress(NatsTimeoutError):
            return b'"stream"' in (await client.request(subject, b"x", timeout=3)).data
        return False
    finally:
        await client.close()


def test_every_file_of_a_site_is_readable_only_by_its_owner(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(start_line(1, "fritz"))
    until_blocking(site.jobs)
    assert list(open_to_others(site.data)) == []


def test_a_readable_folder_is_restricted_at_the_next_start(new_up: Up) -> None:
    site = new_up().start()
    site.interrupt()
    site.data.chmod(0o755)
    (site.data / "jobtide.db").chmod(0o644)
    site.start()
    assert list(open_to_others(site.data)) == []


def test_a_database_created_by_hand_is_readable_only_by_its_owner(tmp_path: Path) -> None:
    done = jobtide("migrate", JOBTIDE_DATABASE_URL=f"sqlite:///{tmp_path / 'site' / 'jobtide.db'}")
    assert done.returncode == 0, done
    assert list(open_to_others(tmp_path / "site")) == []


def test_a_readable_database_is_restricted_by_the_next_migrate(tmp_path: Path) -> None:
    database = tmp_path / "jobtide.db"
    for _ in range(2):
        assert jobtide("migrate", JOBTIDE_DATABASE_URL=f"sqlite:///{database}").returncode == 0
        assert stat.S_IMODE(database.stat().st_mode) == 0o600
        database.chmod(0o644)


def test_the_broker_refuses_clients_without_credentials(shared_up: UpProcess) -> None:
    assert not run_blocking(connects(shared_up.run_json["nats"]))


def test_an_adapter_can_publish_only_to_the_intake(shared_up: UpProcess) -> None:
    url = shared_up.run_json["nats_adapter"]
    assert shown(url) == shared_up.run_json["nats"]

    async def stored() -> dict[str, bool]:
        subjects = ("cc.job.event", "cc.node.state", "jobtide.job.deleted.fritz", "jobtide.job.started.fritz", "$KV.clusters.fritz")
        return dict(zip(subjects, await asyncio.gather(*(is_stored(url, subject) for subject in subjects)), strict=True))

    assert [subject for subject, is_taken in run_blocking(stored()).items() if is_taken] == ["cc.job.event", "cc.node.state"]


def test_credentials_stay_the_same_over_restarts(new_up: Up) -> None:
    site = new_up().start()
    password = site.run_json["nats_adapter"].partition("@")[0]
    site.interrupt()
    site.start()
    assert site.run_json["nats_adapter"].partition("@")[0] == password
    assert ":" in password.removeprefix("nats://")


@pytest.mark.parametrize(("open_to", "reaches"), [("adapters", ["cc.job.event"]), ("all", ["cc.job.event", "jobtide.job.deleted.fritz"])])
def test_an_open_broker_warns_and_grants_the_configured_permissions(new_up: Up, open_to: str, reaches: list[str]) -> None:
    site = new_up().start(JOBTIDE_UP_OPEN_TO=open_to)
    assert '"broker_open"' in site.log_text
    user = "adapter" if open_to == "adapters" else "operator"
    subjects = ("cc.job.event", "jobtide.job.deleted.fritz")
    assert [subject for subject in subjects if run_blocking(is_stored(site.run_json["nats"], subject, user))] == reaches


def test_the_log_of_a_site_from_a_version_without_accounts_is_continued(new_up: Up) -> None:
    site = new_up().start()
    site.add_fritz()
    site.publish(start_line(21, "fritz"))
    (before,) = until_blocking(site.jobs)
    site.interrupt()
    streams = site.data / "nats" / "jetstream"
    (streams / "SITE").rename(streams / "$G")
    (site.data / "nats-users.json").unlink()
    site.start()
    site.publish(start_line(22, "fritz"))
    until_blocking(lambda: [job["jobId"] for job in site.jobs()] in ([21, 22], [22, 21]))
    assert before["id"] in {job["id"] for job in site.jobs()}
