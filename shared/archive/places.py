"""Archives by their address: a path, ``sqlite:///PATH`` or ``s3://BUCKET/PREFIX``."""

from collections.abc import Collection
from pathlib import Path
from urllib.parse import urlsplit

from shared.archive.composed import MovedStore, RoutedStore
from shared.archive.files import FileStore
from shared.archive.layout import ArchiveUnavailable
from shared.archive.moving import refuse_same_place
from shared.archive.objects import ObjectStore, S3Access
from shared.archive.sqlite import SqliteStore
from shared.archive.store import ArchiveStore
from shared.errors import UserError
from shared.settings import ArchiveSettings


def store_at(address: str, settings: ArchiveSettings) -> ArchiveStore:
    """The archive at an address that ``archive_address`` accepts. It need not exist. ``settings`` have the access to S3."""
    if address.startswith("sqlite:///"):
        return SqliteStore(Path(address.removeprefix("sqlite:///")))
    if address.startswith("s3://"):
        parts = urlsplit(address)
        return ObjectStore(parts.netloc, parts.path.strip("/"), access_of(settings))
    return FileStore(Path(address))


def access_of(settings: ArchiveSettings) -> S3Access:
    secret = settings.s3_secret_key
    return S3Access(
        endpoint=settings.s3_endpoint,
        region=settings.s3_region,
        access_key=settings.s3_access_key,
        secret_key=secret.get_secret_value() if secret is not None else None,
        is_virtual_hosted=settings.s3_virtual_hosted,
    )


def present_store(settings: ArchiveSettings) -> ArchiveStore:
    """The archive that entries are written to."""
    stores: dict[str, ArchiveStore] = {}

    def at(address: str) -> ArchiveStore:
        return stores.setdefault(address, store_at(address, settings))

    other = at(settings.address)
    return RoutedStore(other, {cluster: at(address) for cluster, address in settings.clusters.items()}) if settings.clusters else other


def retention_store(settings: ArchiveSettings) -> ArchiveStore | None:
    """The archive that old entries are moved or copied to."""
    return None if settings.retention_target is None else store_at(settings.retention_target, settings)


def store_with(present: ArchiveStore, moved: ArchiveStore | None) -> ArchiveStore:
    """Raises UserError when both are the same place."""
    if moved is not None:
        refuse_same_place(present, moved)
    return present if moved is None else MovedStore(present, moved)


def store_of(settings: ArchiveSettings) -> ArchiveStore:
    """The whole archive of a site, with what its retention has moved."""
    return store_with(present_store(settings), retention_store(settings))


def open_place(place: ArchiveStore, known: Collection[str]) -> None:
    """Create the archive in an empty place, unless it held one before: then it is probably not mounted.

    ``known`` are the places that held an archive. Raises UserError, ArchiveUnavailable.
    """
    if place.place in known:
        try:
            place.version()
        except UserError as e:
            hint = f"it was an archive before; if it is not to be mounted, `jobtide archive create {place.address}` makes it an empty one"
            raise ArchiveUnavailable(f"{e}; {hint}") from e
    place.open()
