"""`jobtide archive`: declarations of its commands, which are implemented in ``cli.commands``."""

from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from shared.errors import UserError

archive_app = typer.Typer(help="The job archive.", no_args_is_help=True)

Data = Annotated[
    Path | None,
    typer.Option(
        "--data", metavar="DIR", help="Data folder of an embedded site. By default the deployment of the settings, or the site in ./var."
    ),
]
Archive = Annotated[
    str | None, typer.Argument(metavar="[ARCHIVE]", help="A folder, sqlite:///PATH or s3://BUCKET/PREFIX; by default that of the site.")
]
Target = Annotated[str, typer.Argument(metavar="TARGET", help="The other archive; an empty place becomes one.")]
AnySource = Annotated[
    str | None,
    typer.Option(
        "--from",
        metavar="ARCHIVE",
        help="The archive to read, or parquet:///DIR with Parquet files of cc-backend; by default that of the site.",
    ),
]
Source = Annotated[str | None, typer.Option("--from", metavar="ARCHIVE", help="The archive to read; by default that of the site.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Only report what would be done.")]
_DAYS = ["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%b-%d"]
Before = Annotated[
    datetime | None, typer.Option("--before", metavar="DAY", formats=_DAYS, help="Jobs that started before this day or time, UTC.")
]
After = Annotated[
    datetime | None, typer.Option("--after", metavar="DAY", formats=_DAYS, help="Jobs that started on this day (UTC) or later.")
]
Clusters = Annotated[list[str] | None, typer.Option("--cluster", metavar="NAME", help="Jobs of this cluster; may be repeated.")]


class Omit(StrEnum):
    NONE = "none"
    ALL = "all"
    USER = "user"


OmitTagged = Annotated[
    Omit, typer.Option("--omit-tagged", help="Leave out jobs with any tag (all), or with a tag that was not added automatically (user).")
]


@archive_app.command("create")
def archive_create(
    archive: Annotated[str, typer.Argument(metavar="ADDRESS", help="A folder, sqlite:///PATH or s3://BUCKET/PREFIX.")],
    data: Data = None,
) -> None:
    """Make an empty place an archive, such as the retention_target. An archive stays as it is."""
    from cli.commands.archive_tools import run_create

    run_create(data, archive)


@archive_app.command("info")
def archive_info(archive: Archive = None, data: Data = None, as_json: AsJson = False) -> None:
    """Show the number of jobs, their size and their starts, by cluster and month."""
    from cli.commands.archive_tools import run_info

    run_info(data, archive, as_json=as_json)


@archive_app.command("verify")
def archive_verify(
    archive: Archive = None,
    data: Data = None,
    quick: Annotated[bool, typer.Option("--quick", help="Check that the time series exist, without reading them.")] = False,
    as_json: AsJson = False,
) -> None:
    """Report every incomplete or invalid entry; exits with 1 when there is one."""
    from cli.commands.archive_tools import run_verify

    run_verify(data, archive, reads_data=not quick, as_json=as_json)


@archive_app.command("copy")
def archive_copy(
    target: Target,
    source: Source = None,
    before: Before = None,
    after: After = None,
    cluster: Clusters = None,
    omit_tagged: OmitTagged = Omit.NONE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Copy entries into another archive. Complete entries of the target are not changed, so it can be repeated."""
    from cli.commands.archive_tools import chosen, run_transfer

    selection = chosen(before, after, cluster, omit_tagged.value)
    run_transfer(data, source, target, selection, form="unchanged", converts=False, dry_run=dry_run, as_json=as_json)


@archive_app.command("convert")
def archive_convert(
    target: Target,
    source: AnySource = None,
    compress: Annotated[bool, typer.Option("--compress", help="Compress data files above 2000 bytes.")] = False,
    decompress: Annotated[bool, typer.Option("--decompress", help="Write all data files uncompressed.")] = False,
    before: Before = None,
    after: After = None,
    cluster: Clusters = None,
    omit_tagged: OmitTagged = Omit.NONE,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Write an archive of version 1, 2 or 3, or Parquet files, as one of version 3. The source is not changed, and it can be repeated."""
    from cli.commands.archive_tools import chosen, run_transfer

    if compress and decompress:
        raise UserError("either --compress or --decompress can be given")
    selection = chosen(before, after, cluster, omit_tagged.value)
    run_transfer(
        data,
        source,
        target,
        selection,
        form="compressed" if compress else "plain" if decompress else "unchanged",
        converts=True,
        dry_run=dry_run,
        as_json=as_json,
    )


@archive_app.command("remove")
def archive_remove(
    archive: Archive = None,
    before: Before = None,
    after: After = None,
    cluster: Clusters = None,
    omit_tagged: OmitTagged = Omit.NONE,
    database: Annotated[bool, typer.Option("--database", help="Remove the jobs from the database of the site too.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
    data: Data = None,
) -> None:
    """Remove entries: of a time, of a cluster, or both."""
    from cli.commands.archive_removal import run_remove
    from cli.commands.archive_tools import chosen

    selection = chosen(before, after, cluster, omit_tagged.value)
    run_remove(data, archive, selection, database=database, dry_run=dry_run, as_json=as_json)


@archive_app.command("clean")
def archive_clean(archive: Archive = None, dry_run: DryRun = False, as_json: AsJson = False, data: Data = None) -> None:
    """Remove what belongs to no entry: files of interrupted writers, empty folders, data files that are not used."""
    from cli.commands.archive_tools import run_clean

    run_clean(data, archive, dry_run=dry_run, as_json=as_json)


@archive_app.command("retry")
def archive_retry(
    job: Annotated[int | None, typer.Option("--job", metavar="ID", help="One job, by its database id.")] = None,
    failed: Annotated[bool, typer.Option("--failed", help="All jobs whose archiving failed.")] = False,
    data: Data = None,
) -> None:
    """Archive jobs again."""
    from cli.commands.archive import run_retry

    run_retry(data, job, failed=failed)


@archive_app.command("thumbnails")
def archive_thumbnails(
    archive: Archive = None,
    data: Data = None,
    workers: Annotated[int | None, typer.Option("--workers", min=1, max=256, help="Processes; as many as processors by default.")] = None,
) -> None:
    """Write the missing thumbnails, which small plots read, of entries that were archived without one."""
    from cli.commands.thumbnails import run_thumbnails

    run_thumbnails(data, archive, workers)
