"""`jobtide takeover`: declarations of its commands, which are implemented in ``cli.commands.takeover``."""

from pathlib import Path
from typing import Annotated

import typer

from cli.archive_commands import AsJson, Data

takeover_app = typer.Typer(help="Take over a site that runs cc-backend.", no_args_is_help=True)

FormerSite = Annotated[
    Path, typer.Argument(metavar="CONFIG|DIR", help="The config.json of a cc-backend, or its working directory. Nothing there is changed.")
]


@takeover_app.command("run")
def takeover_run(
    source: FormerSite,
    data: Data = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count what would be taken over, and change nothing.")] = False,
    no_copy: Annotated[bool, typer.Option("--no-copy", help="Do not copy the entries of the archive.")] = False,
) -> None:
    """Take over clusters, users, jobs, tags, node states and the archive, while cc-backend may go on running.

    Run it again to bring what has changed since; only that is written.
    """
    from cli.commands.takeover import run_takeover

    run_takeover(data, source, dry_run=dry_run, copies=not no_copy)


@takeover_app.command("settings")
def takeover_settings(source: FormerSite) -> None:
    """Print the configuration as settings of jobtide (TOML), with a comment for each key that has no counterpart."""
    from cli.commands.takeover import run_settings

    run_settings(source)


@takeover_app.command("verify")
def takeover_verify(
    source: FormerSite,
    data: Data = None,
    as_json: AsJson = False,
    sample: Annotated[int, typer.Option("--sample", metavar="N", min=0, help="Archive entries that are read with their data.")] = 1000,
) -> None:
    """Compare every job, user and tag with the cc-backend, and look for every entry of the archive. Exits with 1 if anything differs."""
    from cli.commands.takeover_verify import run_verify

    run_verify(data, source, as_json=as_json, sample=sample)
