"""`jobtide cluster`."""

import asyncio
from pathlib import Path

from pydantic import ValidationError

from cli.site import broker_of, find_site
from shared.domain.clusters import read_new_cluster
from shared.errors import UserError

DEFINITION = "cluster.json"


def definitions_in(path: Path) -> list[Path]:
    """The given cluster.json, or all of an archive or of one cluster's folder. Raises UserError."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path} does not exist")
    found = [path / DEFINITION] if (path / DEFINITION).is_file() else sorted(path.glob(f"*/{DEFINITION}"))
    if not found:
        raise UserError(f"{path} is not an archive: it has no */{DEFINITION}")
    return found


def read_file(path: Path) -> bytes:
    """Raises UserError."""
    try:
        return path.read_bytes()
    except OSError as e:
        raise UserError(f"cannot read {path}: {e.strerror}") from e


def check(file: Path, text: bytes) -> None:
    """Raises UserError that names the file and the field."""
    try:
        read_new_cluster(text)
    except ValidationError as e:
        first = e.errors(include_url=False)[0]
        field = ".".join(str(part) for part in first["loc"])
        raise UserError(": ".join(part for part in (str(file), field, first["msg"]) if part)) from e


def run_add(data: Path | None, path: Path) -> None:
    from shared.broker.clusters import add_cluster

    texts = {file: read_file(file) for file in definitions_in(path)}
    for file, text in texts.items():  # validate all before adding any
        check(file, text)

    async def run() -> None:
        async with broker_of(find_site(data), "cluster") as (client, nats):
            for text in texts.values():
                cluster = await add_cluster(client, nats, text)
                print(f"added {cluster.name} with {', '.join(s.name for s in cluster.sub_clusters)}")

    asyncio.run(run())


def run_list(data: Path | None) -> None:
    from rich.table import Table

    from cli.tables import print_tables
    from shared.broker.clusters import ClusterDirectory

    async def run() -> ClusterDirectory:
        async with broker_of(find_site(data), "cluster") as (client, nats):
            directory = ClusterDirectory(client, nats)
            await directory.refresh()
            return directory

    directory = asyncio.run(run())
    if not directory:
        print("no clusters; add one with `jobtide cluster add FILE`")
        return
    table = Table("cluster", "subcluster", "nodes", "metrics", box=None, pad_edge=False)
    for name in sorted(directory):
        cluster = directory[name]
        for subcluster in cluster.sub_clusters:
            table.add_row(name, subcluster.name, subcluster.nodes, str(len(cluster.metrics_on(subcluster.name))))
    print_tables(table)
