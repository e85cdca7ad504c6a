"""The same servers from images, if a container engine is requested."""

from collections.abc import Iterator
from contextlib import contextmanager

from tests.support.nats import RunningNats
from tests.support.postgres import RunningPostgres
from tests.support.programs import MissingPart

NATS_IMAGE = "nats:2.12-alpine"
POSTGRES_IMAGE = "postgres:17-alpine"
_NATS_COMMAND = "sh -c \"printf 'max_payload: 8MB\\njetstream { store_dir: /data }\\n' > /tmp/n.conf && exec nats-server -c /tmp/n.conf\""


def require_engine() -> None:
    """Raises MissingPart."""
    from testcontainers.core.docker_client import DockerClient

    try:
        DockerClient(timeout=5).client.ping()
    except Exception as e:  # its type is in the engine's library, which is not a dependency
        raise MissingPart(f"JOBTIDE_TEST_DOCKER is set, but no container engine answers: {str(e)[:200]}") from e


@contextmanager
def nats_container() -> Iterator[RunningNats]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.waiting_utils import wait_for_logs

    with DockerContainer(NATS_IMAGE).with_command(_NATS_COMMAND).with_exposed_ports(4222) as container:
        wait_for_logs(container, "Server is ready", timeout=30)
        yield RunningNats(f"nats://{container.get_container_host_ip()}:{container.get_exposed_port(4222)}")


@contextmanager
def postgres_container() -> Iterator[RunningPostgres]:
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer(POSTGRES_IMAGE, driver=None) as container:
        yield RunningPostgres(container.get_connection_url())
