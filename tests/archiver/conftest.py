import pytest

from shared.settings import ArchiveSettings, DatabaseSettings, NatsSettings
from tests.archiver.site import Site


@pytest.fixture
def archive_site(site: NatsSettings, sqlite_database: DatabaseSettings, archive_settings: ArchiveSettings) -> Site:
    """Streams with the sample clusters, an SQLite database and an archive folder; no metric data."""
    return Site(site, sqlite_database, archive_settings)
