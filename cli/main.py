"""The command line. Commands are declared here and implemented in ``cli.commands``, which are imported when called."""

import gc
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from cli.archive_commands import Data, archive_app
from cli.takeover_commands import takeover_app
from shared.errors import JobtideError, LogMismatch, UserError
from shared.file_modes import close_files_to_others
from shared.printing import replace_unencodable

app = typer.Typer(
    name="jobtide",
    help="Records batch jobs and nodes: turns the events of schedulers into a database, an archive and an API.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
cluster_app = typer.Typer(help="The clusters of the site.", no_args_is_help=True)
app.add_typer(cluster_app, name="cluster")
app.add_typer(archive_app, name="archive")
advice_app = typer.Typer(help="Rules that detect problems of jobs.", no_args_is_help=True)
app.add_typer(advice_app, name="advice")
user_app = typer.Typer(help="Users of the site, people and programs.", no_args_is_help=True)
app.add_typer(user_app, name="user")
app.add_typer(takeover_app, name="takeover")


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"jobtide {version('jobtide')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_show_version)] = False,
) -> None:
    pass


@app.command()
def up(
    data: Annotated[Path, typer.Option("--data", metavar="DIR", help="Data folder: database, archive, broker, keys.")] = Path("var"),
    http: Annotated[str, typer.Option("--http", metavar="HOST:PORT", help="Address of the API; port 0 is any free one.")] = (
        "127.0.0.1:8080"
    ),
    nats: Annotated[
        str,
        typer.Option(
            "--nats", metavar="HOST:PORT|URL", help="Address of the embedded nats-server, or the URL nats://… of a running broker."
        ),
    ] = "127.0.0.1:4222",
    demo: Annotated[bool, typer.Option("--demo", help="Simulate the clusters fritz and alex.")] = False,
) -> None:
    """Run a whole site on this machine: broker, database, archive and all services. Ctrl-C stops it."""
    from cli.commands.up import run_up

    run_up(data, http, nats, demo=demo)


@app.command()
def provision(
    data: Data = None,
    continue_log: Annotated[
        bool,
        typer.Option(
            "--continue-log",
            help="Continue lost or recreated streams above every sequence in the database; stop the services first.",
        ),
    ] = False,
    adopt: Annotated[
        bool,
        typer.Option(
            "--adopt",
            help="Take over streams that are copies of the applied ones, such as mirrors; stop the services first.",
        ),
    ] = False,
) -> None:
    """Create or update the streams and buckets on the broker."""
    from cli.commands.streams import run_provision

    run_provision(data, continue_log=continue_log, adopts=adopt)


@app.command()
def migrate(data: Data = None) -> None:
    """Bring the database schema up to date."""
    from cli.commands.streams import run_migrate

    run_migrate(data)


@cluster_app.command("add")
def cluster_add(
    path: Annotated[Path, typer.Argument(metavar="FILE|ARCHIVE_DIR", help="A cluster.json, or an archive, whose clusters are all added.")],
    data: Data = None,
) -> None:
    """Add clusters, or replace their definitions; running services pick them up within a second."""
    from cli.commands.clusters import run_add

    run_add(data, path)


@cluster_app.command("list")
def cluster_list(data: Data = None) -> None:
    """List the clusters with their subclusters."""
    from cli.commands.clusters import run_list

    run_list(data)


@app.command()
def publish(
    path: Annotated[Path, typer.Argument(metavar="FILE|-", help="Line protocol; - reads standard input.", allow_dash=True)],
    data: Data = None,
    chunks: Annotated[
        bool, typer.Option("--chunks", help="Join lines to messages of up to half a MiB instead of one line per message.")
    ] = False,
    subject: Annotated[
        str | None, typer.Option("--subject", help="One subject for all lines, instead of the one of the measurement.")
    ] = None,
) -> None:
    """Publish line protocol to the intake and wait until the broker has stored it."""
    from cli.commands.publish import run_publish

    run_publish(data, path, chunks=chunks, subject=subject)


@app.command()
def token(
    user: Annotated[str, typer.Argument(metavar="USER", help="The name in the token.")],
    role: Annotated[list[str], typer.Option("--role", help="api, user, manager, support or admin; may be given more than once.")],
    ttl: Annotated[str, typer.Option("--ttl", help="Validity, such as 90s, 30m, 12h or 30d; 0 means no expiry.")] = "30d",
    data: Data = None,
) -> None:
    """Print a token for the API; it is the last line of the output."""
    from cli.commands.tokens import run_token

    run_token(data, user, role, ttl)


UserName = Annotated[str, typer.Argument(metavar="NAME", help="The login name.")]
PasswordStdin = Annotated[bool, typer.Option("--password-stdin", help="Read the password from the first line of standard input.")]


@user_app.command("add")
def user_add(
    name: UserName,
    role: Annotated[list[str], typer.Option("--role", help="api, user, manager, support or admin; may be given more than once.")],
    project: Annotated[list[str] | None, typer.Option("--project", help="A project that a manager supervises; may be repeated.")] = None,
    real_name: Annotated[str, typer.Option("--name", help="The displayed name.")] = "",
    email: Annotated[str, typer.Option("--email", help="Mail address.")] = "",
    password_stdin: PasswordStdin = False,
    data: Data = None,
) -> None:
    """Add a user with a local password of at least 10 characters (`min_password_characters`), read from the terminal.

    The role api alone needs none.
    """
    from cli.commands.users import run_add

    run_add(data, name, role, project or [], real_name, email, from_stdin=password_stdin)


@user_app.command("list")
def user_list(data: Data = None) -> None:
    """List all users with their roles and projects."""
    from cli.commands.users import run_list

    run_list(data)


@user_app.command("remove")
def user_remove(name: UserName, data: Data = None) -> None:
    """Remove a user with all personal settings and sessions."""
    from cli.commands.users import run_remove

    run_remove(data, name)


@user_app.command("role")
def user_role(
    name: UserName,
    add: Annotated[list[str] | None, typer.Option("--add", metavar="ROLE", help="A role to add; may be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="ROLE", help="A role to remove; may be repeated.")] = None,
    data: Data = None,
) -> None:
    """Add and remove roles of a user."""
    from cli.commands.users import run_role

    run_role(data, name, add or [], remove or [])


@user_app.command("project")
def user_project(
    name: UserName,
    add: Annotated[list[str] | None, typer.Option("--add", metavar="PROJECT", help="A project to add; may be repeated.")] = None,
    remove: Annotated[list[str] | None, typer.Option("--remove", metavar="PROJECT", help="A project to remove; may be repeated.")] = None,
    data: Data = None,
) -> None:
    """Add and remove projects that a manager supervises."""
    from cli.commands.users import run_project

    run_project(data, name, add or [], remove or [])


@user_app.command("password")
def user_password(name: UserName, password_stdin: PasswordStdin = False, data: Data = None) -> None:
    """Set the local password of a user and end sessions that used the old one."""
    from cli.commands.users import run_password

    run_password(data, name, from_stdin=password_stdin)


@user_app.command("sync-ldap")
def user_sync_ldap(data: Data = None) -> None:
    """Synchronise the users with the LDAP directory once, as configured in [ldap]."""
    from cli.commands.directory import run_sync_ldap

    run_sync_ldap(data)


@app.command()
def keys(
    from_pem: Annotated[
        Path | None, typer.Option("--from-pem", metavar="FILE", help="Print the Ed25519 public key of a portal, from a PEM file.")
    ] = None,
    from_env: Annotated[
        Path | None, typer.Option("--from-env", metavar="FILE", help="Check the keys in a .env of cc-backend, and print them as settings.")
    ] = None,
) -> None:
    """Print a new Ed25519 key pair for signing and checking tokens."""
    from cli.commands.tokens import run_keys

    run_keys(from_pem, from_env)


RuleFolder = Annotated[Path | None, typer.Option("--rules", metavar="DIR", help="The site's own rules, in addition to the shipped ones.")]


@advice_app.command("rules")
def advice_rules(rules: RuleFolder = None) -> None:
    """List all rules. Fails if a file cannot be used, and names it."""
    from cli.commands.advice import run_rules

    run_rules(rules)


@advice_app.command("test")
def advice_test(
    file: Annotated[Path, typer.Argument(metavar="RULE", help="A file (TOML, or cc-backend's JSON), or the tag of a shipped rule.")],
    job: Annotated[int, typer.Argument(metavar="JOB", help="An archived or running job, by its database id.")],
    data: Data = None,
) -> None:
    """Show step by step why a rule holds for a job or not."""
    from cli.commands.advice import run_test

    run_test(data, file, job)


@advice_app.command("apply")
def advice_apply(
    data: Data = None,
    rules: RuleFolder = None,
    after: Annotated[int, typer.Option("--after", metavar="ID", help="Continue after the job with this database id.")] = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Count the changes without publishing them.")] = False,
) -> None:
    """Evaluate the rules for all archived jobs, for example after rules were changed."""
    from cli.commands.advice import run_apply

    run_apply(data, rules, dry_run=dry_run, after=after)


@app.command("import")
def import_archive(
    source: Annotated[
        str, typer.Argument(metavar="ARCHIVE", help="A job archive of version 3: a folder, sqlite:///PATH or s3://BUCKET/PREFIX.")
    ],
    data: Data = None,
    no_copy: Annotated[bool, typer.Option("--no-copy", help="Do not copy the entries into the archive of the site.")] = False,
) -> None:
    """Import all jobs of an archive. Known jobs are not changed."""
    from cli.commands.importing import run_import

    run_import(data, source, copies=not no_copy)


@app.command()
def reconcile(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE|-", help="Output of `sacct --parsable2` or `sacct --json`; - is standard input.", allow_dash=True),
    ],
    apply: Annotated[bool, typer.Option("--apply", help="Publish the starts and stops that are missing, marked as such.")] = False,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME", help="The cluster of lines that name none.")] = None,
    timezone: Annotated[
        str | None, typer.Option("--timezone", metavar="ZONE", help="Zone of times without one; by default that of this machine.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
    data: Data = None,
) -> None:
    """Compare the jobs with the scheduler's own accounting; exits with 1 when differences remain."""
    from cli.commands.reconcile import run_reconcile

    run_reconcile(data, file, cluster, timezone, applies=apply, as_json=as_json)


@app.command()
def optimize(
    as_json: Annotated[bool, typer.Option("--json", help="Print the sizes as JSON.")] = False,
    data: Data = None,
) -> None:
    """Compact the database and renew its statistics; an archive in an SQLite file is compacted too."""
    from cli.commands.optimize import run_optimize

    run_optimize(data, as_json=as_json)


@app.command()
def rebuild(data: Data = None) -> None:
    """Rebuild the job tables from the log while the services run, then switch to them."""
    from cli.commands.rebuild import run_rebuild

    run_rebuild(data)


@app.command()
def rejections(
    data: Data = None,
    code: Annotated[str | None, typer.Option("--code", metavar="CODE", help="Show only rejections with this reason code.")] = None,
    limit: Annotated[
        int, typer.Option("--limit", "--last", metavar="N", min=1, max=10_000, help="Number of rejections to show, the newest ones.")
    ] = 50,
    follow: Annotated[bool, typer.Option("--follow", help="Continue to show new ones until Ctrl-C.")] = False,
) -> None:
    """Show rejections with their reasons, oldest first. Identical rejections of a message are shown once, with their number."""
    from cli.commands.rejections import run_rejections

    run_rejections(data, limit=limit, follow=follow, code=code)


@app.command()
def replay(
    seq: Annotated[
        int | None, typer.Option("--seq", min=1, metavar="N", help="One message: its intake sequence, as `jobtide rejections` shows it.")
    ] = None,
    code: Annotated[
        str | None, typer.Option("--code", metavar="CODE", help="All messages that were rejected with this reason code.")
    ] = None,
    since: Annotated[
        datetime | None, typer.Option("--since", metavar="TIME", help="With --code: only rejections since this time, UTC.")
    ] = None,
    cluster: Annotated[str | None, typer.Option("--cluster", metavar="NAME", help="With --code: only this cluster.")] = None,
    data: Data = None,
) -> None:
    """Publish raw intake messages again, for example after adding their cluster. It is safe to repeat."""
    from cli.commands.rejections import run_replay, run_replay_of_code

    if (seq is None) == (code is None):
        raise UserError("either --seq or --code is needed")
    if seq is not None:
        if since is not None or cluster is not None:
            raise UserError("--since and --cluster go with --code")
        run_replay(data, seq)
    elif code is not None:
        run_replay_of_code(data, code, since and since.replace(tzinfo=UTC), cluster)


@app.command()
def status(
    data: Data = None,
    as_json: Annotated[bool, typer.Option("--json", help="As JSON, like the answer of `GET /api/status/`.")] = False,
) -> None:
    """Show streams, positions, lag, jobs, the archive queue, metric stores and rejections."""
    from cli.commands.status import run_status

    run_status(data, as_json=as_json)


@app.command()
def settings(
    markdown: Annotated[bool, typer.Option("--markdown", help="In the form of docs/configuration.md.")] = False,
) -> None:
    """List all settings with their defaults and meanings."""
    from cli.settings_page import run_settings

    run_settings(markdown=markdown)


def main() -> None:
    """Entry point. Exits with 0 on success, 2 after a user error, 1 after any other failure."""
    gc.set_threshold(50_000, 20, 50)  # what a command imports stays: looking for garbage in it takes up to a quarter of a short command
    replace_unencodable()
    close_files_to_others()
    try:
        code = app(prog_name="jobtide", standalone_mode=False)
    except TyperException as e:
        text = " ".join(e.format_message().split())
        if not text:  # a group without a subcommand: its help has been shown
            sys.exit(e.exit_code)
        _fail(text, e.exit_code)
    except (UserError, LogMismatch) as e:
        _fail(str(e), 2)
    except JobtideError as e:
        _fail(str(e), 1)
    except (KeyboardInterrupt, typer.Abort):
        _fail("interrupted", 1)
    except BrokenPipeError:  # the reader of our output, such as `head`, has ended
        sys.stderr.close()
        sys.exit(1)
    except OSError as e:
        _fail(str(e), 1)
    except ExceptionGroup as e:
        from shared.service import leaves

        known = next((leaf for leaf in leaves(e) if isinstance(leaf, JobtideError)), None)
        if known is None:
            raise
        _fail(str(known), 2 if isinstance(known, UserError | LogMismatch) else 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(text: str, code: int) -> None:
    print(f"jobtide: {text}", file=sys.stderr)
    sys.exit(code)


if __name__ == "__main__":
    main()
