"""The record of the places that hold an archive."""

import asyncio

import pytest

from services.archiver.folder import ArchiveFolder
from shared.archive import ArchiveUnavailable
from shared.archive.files import FileStore
from shared.broker.clusters import ClusterDirectory
from shared.broker.known_archives import KnownArchives
from shared.broker.streams import provision
from shared.errors import Unavailable
from shared.settings import NatsSettings
from tests.support.nats import client_of


async def test_places_that_are_added_at_once_are_all_recorded(nats_settings: NatsSettings) -> None:
    async with client_of(nats_settings) as client:
        await provision(client, nats_settings)
        places = {f"/{number}" for number in range(8)}
        await asyncio.gather(*(KnownArchives(client, nats_settings).add(place) for place in places))
        assert await KnownArchives(client, nats_settings).read() == places


async def test_no_place_becomes_an_archive_before_the_record_was_read_and_it_is_read_again(
    nats_settings: NatsSettings, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path_factory.mktemp("mount")
    async with client_of(nats_settings) as client:
        await provision(client, nats_settings)
        known = KnownArchives(client, nats_settings)
        folder = ArchiveFolder(FileStore(root), ClusterDirectory(client, nats_settings), known)

        async def fails() -> set[str]:
            raise Unavailable("not now")

        with monkeypatch.context() as away:
            away.setattr(known, "read", fails)
            await folder.open()
            with pytest.raises(ArchiveUnavailable):
                await folder.check(folder.store)
            assert list(root.iterdir()) == []
        await folder.check(folder.store)
        assert (root / "version.txt").exists()
        assert await known.read() == {folder.store.place}
        folder.close()
