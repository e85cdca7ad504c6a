"""`jobtide archive info`, `verify`, `copy`, `convert` and `clean`."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson

from cli.commands.counting import counted
from cli.progress import Bar, progress_bar
from cli.site import find_site
from shared.archive.contents import Amount, contents_of
from shared.archive.files import FileStore
from shared.archive.layout import ArchiveUnavailable
from shared.archive.places import present_store, store_at
from shared.archive.selection import OmitTagged, Selection
from shared.archive.sqlite import SqliteStore
from shared.archive.store import ArchiveStore
from shared.archive.transfer import EntrySource, Form, Tally, transfer
from shared.archive.verify import Finding, verify, verify_store
from shared.errors import JobtideError, UserError

_PARQUET = "parquet:///"
MAX_LISTED = 1000  # leftovers and findings in a JSON result


class ArchiveUnsound(JobtideError):
    """Some entries have findings or failed; all have been printed."""


def archive_of(data: Path | None, address: str | None) -> ArchiveStore:
    """The archive at ``address`` if given, else that of the site."""
    settings = find_site(data).archive
    return present_store(settings) if address is None else store_at(address, settings)


def chosen(before: datetime | None, after: datetime | None, clusters: Sequence[str] | None, omit_tagged: OmitTagged) -> Selection:
    """Raises UserError when nothing could be between the two times."""
    found = Selection(_seconds(before), _seconds(after), frozenset(clusters or ()), omit_tagged)
    if found.before is not None and found.after is not None and found.before <= found.after:
        raise UserError("--before must be later than --after: together they select the jobs in between")
    return found


def _seconds(time: datetime | None) -> int | None:
    return None if time is None else int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())


def size_text(size: int) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000  # type: ignore[assignment]
    return f"{size:,.1f} TB"


def count_text(number: int, noun: str = "job") -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def time_text(seconds: int | None) -> str | None:
    return None if seconds is None else f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def print_json(value: Any) -> None:
    print(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def print_failures(tally: Tally, *, as_json: bool) -> None:
    """Prints failures as lines unless they are part of the JSON result. Raises ArchiveUnsound when there are any."""
    if not as_json:
        for line in tally.failures:
            print(line)
        if tally.failed > len(tally.failures):
            print(f"and {tally.failed - len(tally.failures):,} more")
    if tally.failed:
        raise ArchiveUnsound(f"{tally.failed:,} entr{'y' if tally.failed == 1 else 'ies'} failed")


def run_create(data: Path | None, address: str) -> None:
    store = archive_of(data, address)
    store.open()
    print(f"{store.address} is an archive of version {store.version()}")


def run_info(data: Path | None, address: str | None, *, as_json: bool) -> None:
    store = archive_of(data, address)
    version = store.version()
    with progress_bar("entries") as show:
        found = contents_of(store, show)
    if as_json:
        clusters = [
            {
                "name": name,
                **_amount(amount),
                "months": [{"month": month, **_amount(one)} for (cluster, month), one in sorted(found.months.items()) if cluster == name],
            }
            for name, amount in sorted(found.clusters.items())
        ]
        strays = [{"place": stray.place, "why": stray.why} for stray in found.strays]
        print_json({"archive": store.address, "version": version, **_amount(found.total), "clusters": clusters, "strays": strays})
        return
    from rich.table import Table

    from cli.tables import print_tables

    print(f"{store.address}, version {version}: {count_text(found.total.jobs)}, {size_text(found.total.size)}\n")
    table = Table("cluster", "month", box=None, pad_edge=False)
    for title in ("jobs", "size"):
        table.add_column(title, justify="right")
    table.add_column("first start")
    table.add_column("last start")
    for name, amount in sorted(found.clusters.items()):
        _add_row(table, name, "all", amount)
        for (cluster, month), one in sorted(found.months.items()):
            if cluster == name:
                _add_row(table, "", month, one)
    print_tables(table)
    for stray in found.strays:
        print(f"{stray.place}: {stray.why}")


def _amount(amount: Amount) -> dict[str, Any]:
    return {"jobs": amount.jobs, "bytes": amount.size, "first": time_text(amount.first), "last": time_text(amount.last)}


def _add_row(table: Any, cluster: str, month: str, amount: Amount) -> None:
    first, last = ((time_text(start) or "").replace("T", " ").removesuffix("Z") for start in (amount.first, amount.last))
    table.add_row(cluster, month, f"{amount.jobs:,}", size_text(amount.size), first, last)


def run_verify(data: Path | None, address: str | None, *, reads_data: bool, as_json: bool = False) -> None:
    store = archive_of(data, address)
    count, listed = 0, list[dict[str, str]]()
    with progress_bar("entries") as show:
        for finding in _findings(store, reads_data=reads_data, show=show):
            count += 1
            if not as_json:
                print(f"{finding.kind:<10} {finding.path}: {finding.text}", flush=True)
            elif len(listed) < MAX_LISTED:
                listed.append({"kind": finding.kind, "path": str(finding.path), "text": finding.text})
    if as_json:
        print_json({"archive": store.address, "findings": count, "listed": listed})
    if count:
        raise ArchiveUnsound(f"{count} finding{'s' if count != 1 else ''} in {store.address}")
    if not as_json:
        print(f"{store.address} is complete and valid")


def _findings(store: ArchiveStore, *, reads_data: bool, show: Bar) -> Iterator[Finding]:
    if isinstance(store, FileStore):
        return verify(store.root, reads_data=reads_data, show=show)
    return verify_store(store, reads_data=reads_data, show=show)


def _require_folder(target: ArchiveStore) -> None:
    """A mistyped target, or one on a file system that is not mounted, must not become an archive. Raises UserError."""
    place = target.root if isinstance(target, FileStore) else target.file if isinstance(target, SqliteStore) else None
    if place is not None and not place.absolute().parent.is_dir():
        raise UserError(f"{target.address}: the folder {place.absolute().parent} does not exist")


def run_transfer(
    data: Path | None,
    source_address: str | None,
    target_address: str,
    selection: Selection,
    *,
    form: Form,
    converts: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    target = archive_of(data, target_address)
    _require_folder(target)
    source = _source(data, source_address, target, converts=converts)
    with counted(source) as show:
        tally = transfer(source, target, selection, form=form, converts=converts, dry_run=dry_run, show=lambda tally: show(tally.seen))
    verb = "converted" if converts else "copied"
    if as_json:
        print_json({"source": source.address, "target": target.address, "dryRun": dry_run, verb: tally.done, **tally_json(tally)})
    else:
        done = f"would be {verb}" if dry_run else verb
        print(f"{count_text(tally.done)} {done} ({size_text(tally.size)}), {count_text(tally.skipped)} left out or there already")
    print_failures(tally, as_json=as_json)


def _source(data: Path | None, address: str | None, target: ArchiveStore, *, converts: bool) -> EntrySource:
    """Raises UserError."""
    if address is not None and address.startswith(_PARQUET):
        if not converts:
            raise UserError("--from: `jobtide archive convert` reads Parquet files")
        from shared.archive.parquet import ParquetArchive

        return ParquetArchive(Path(address.removeprefix(_PARQUET)))
    source = archive_of(data, address)
    if target.is_same_place(source):
        raise UserError(f"TARGET: {target.address} is the source itself")
    return source


def tally_json(tally: Tally) -> dict[str, Any]:
    return {"bytes": tally.size, "skipped": tally.skipped, "failed": tally.failed, "failures": tally.failures}


def run_clean(data: Path | None, address: str | None, *, dry_run: bool, as_json: bool) -> None:
    store = archive_of(data, address)
    store.version()
    tally, listed = Tally(), list[dict[str, Any]]()
    for leftover in store.leftovers():
        try:
            if not dry_run:
                leftover.remove()
        except (OSError, ArchiveUnavailable) as e:
            tally.fail(leftover.place, e.strerror or e if isinstance(e, OSError) else e)
            continue
        tally.done += 1
        tally.size += leftover.size
        if not as_json:
            print(f"{leftover.kind:<10} {leftover.place}", flush=True)
        elif len(listed) < MAX_LISTED:
            listed.append({"kind": leftover.kind, "place": leftover.place, "bytes": leftover.size})
    if as_json:
        print_json({"archive": store.address, "dryRun": dry_run, "removed": tally.done, "listed": listed, **tally_json(tally)})
    else:
        print(f"{count_text(tally.done, 'leftover')} {'would be ' if dry_run else ''}removed ({size_text(tally.size)})")
    print_failures(tally, as_json=as_json)
