"""The programs in deploy/, run like an operator would."""

import asyncio
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cli.keys import sign_token
from deploy import smoke
from services.gateway.frame.settings import public_keys
from shared.broker.streams import provision
from shared.health import Health, serve_health
from shared.lineprotocol import Point, parse_lines
from tests.deploy.conftest import ROOT, USERS, Broker
from tests.support.programs import nats_program
from tests.support.waiting import until


def init_env(file: Path) -> dict[str, str]:
    subprocess.run([ROOT / "deploy" / "init-env.sh", str(file)], check=True, capture_output=True, timeout=30)
    return smoke.read_environment(file)


def test_init_env_writes_every_secret_readable_only_by_its_owner(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    values = init_env(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    names = re.findall(r"^([A-Z_]+)=$", (ROOT / ".env.example").read_text(), re.MULTILINE)
    assert set(values) == set(names)
    assert len(set(values.values())) == len(names)
    for name in names:
        if name.endswith("PASSWORD"):
            assert re.fullmatch(r"[a-z][a-z0-9]{40,}", values[name])


def test_init_env_adds_missing_values_and_preserves_existing_ones(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("POSTGRES_PASSWORD=chosen\nJOBTIDE_HTTP_PUBLISH=127.0.0.1:9000\nNATS_INGEST_PASSWORD=\n")
    first = init_env(file)
    assert first["POSTGRES_PASSWORD"] == "chosen"
    assert first["JOBTIDE_HTTP_PUBLISH"] == "127.0.0.1:9000"
    assert first["NATS_INGEST_PASSWORD"]
    assert init_env(file) == first


def test_init_env_refuses_half_a_key_pair(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("JWT_PUBLIC_KEY=abc\n")
    done = subprocess.run([ROOT / "deploy" / "init-env.sh", str(file)], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 1
    assert "half of a key pair" in done.stderr
    assert file.read_text() == "JWT_PUBLIC_KEY=abc\n"


def test_tokens_signed_with_the_new_key_are_accepted(tmp_path: Path) -> None:
    values = init_env(tmp_path / ".env")
    (public,) = public_keys(values["JWT_PUBLIC_KEY"])
    token = sign_token(values["JWT_PRIVATE_KEY"], "erika", ["api"], 60)
    assert jwt.decode(token, Ed25519PublicKey.from_public_bytes(public), algorithms=["EdDSA"])["sub"] == "erika"


def test_the_broker_reads_the_generated_passwords(tmp_path: Path) -> None:
    values = init_env(tmp_path / ".env")
    environment = {**os.environ, **values}
    done = subprocess.run(
        [nats_program(), "-t", "-c", ROOT / "deploy" / "nats.conf"], env=environment, capture_output=True, timeout=20, check=False
    )
    assert done.returncode == 0, done.stderr.decode()


def test_every_unit_finds_its_environment_file(tmp_path: Path) -> None:
    init_env(tmp_path / ".env")
    script = ROOT / "deploy" / "systemd" / "env-files.sh"
    subprocess.run([script, str(tmp_path / ".env"), str(tmp_path / "etc")], check=True, capture_output=True, timeout=20)
    wanted = set()
    for unit in (ROOT / "deploy" / "systemd").glob("*.service"):
        wanted |= set(re.findall(r"^EnvironmentFile=/etc/jobtide/(.+)$", unit.read_text(), re.MULTILINE))
    written = {file.name for file in (tmp_path / "etc").iterdir()}
    assert wanted == written
    assert all(stat.S_IMODE(file.stat().st_mode) == 0o600 for file in (tmp_path / "etc").iterdir())
    with_private_key = {file.name for file in (tmp_path / "etc").iterdir() if "PRIVATE" in file.read_text()}
    assert with_private_key == {"gateway.env", "operator.env"}  # people take tokens at /frontend/jwt/


def test_env_files_names_a_missing_secret(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("NATS_ADAPTER_PASSWORD=x\n")
    script = ROOT / "deploy" / "systemd" / "env-files.sh"
    done = subprocess.run([script, str(tmp_path / ".env"), str(tmp_path / "etc")], capture_output=True, text=True, timeout=20, check=False)
    assert done.returncode == 1
    assert "POSTGRES_PASSWORD" in done.stderr
    assert not (tmp_path / "etc").exists()


async def healthcheck_exit(address: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", "-S", str(ROOT / "deploy" / "healthcheck.py"), address, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode is not None
    return process.returncode, output.decode()


async def test_the_healthcheck_reports_whether_a_service_works() -> None:
    health = Health("ingest")
    async with serve_health(health, "127.0.0.1:0") as address:
        assert await healthcheck_exit(address) == (0, "")

        async def away() -> None:
            raise OSError("the broker is away")

        health.check("broker", away)
        code, text = await healthcheck_exit(address)
        assert code == 1
        assert "the broker is away" in text
    code, text = await healthcheck_exit(address)
    assert code == 1
    assert "no answer" in text


async def test_the_smoke_adapter_publishes_and_is_confined(broker: Broker) -> None:
    host, _, port = broker.url.removeprefix("nats://").rpartition(":")
    async with broker.connected("operator") as (operator, _):
        await provision(operator, broker.settings("operator"))

        def act() -> None:
            adapter = smoke.Adapter(host, int(port), "adapter", broker.passwords["adapter"])
            smoke.check_adapter_is_confined(adapter)
            smoke.publish_jobs(adapter, range(1, 4), 1_700_000_000)

        await asyncio.wait_for(asyncio.to_thread(act), 20)

        async def all_are_stored() -> bool:
            return (await operator.jetstream().stream_info("INTAKE")).state.messages == 6

        await until(all_are_stored)


async def test_the_smoke_test_detects_a_user_with_too_many_permissions(broker: Broker) -> None:
    host, _, port = broker.url.removeprefix("nats://").rpartition(":")

    def act() -> None:
        smoke.check_adapter_is_confined(smoke.Adapter(host, int(port), "operator", broker.passwords["operator"]))

    with pytest.raises(smoke.Failed, match="the adapter user may publish to jobtide"):
        await asyncio.wait_for(asyncio.to_thread(act), 20)


def test_the_smoke_lines_are_line_protocol() -> None:
    lines = list(parse_lines(smoke.start_line(5, 1_700_000_000) + smoke.stop_line(5, 1_700_000_000)))
    assert [isinstance(line, Point) for line in lines] == [True, True]


def test_the_smoke_test_reports_a_missing_env_file(tmp_path: Path) -> None:
    with pytest.raises(smoke.Failed, match=r"init-env\.sh"):
        smoke.read_environment(tmp_path / ".env")


@pytest.mark.parametrize("user", USERS)
def test_every_user_of_the_broker_has_a_secret_in_the_example(user: str) -> None:
    assert f"NATS_{user.upper()}_PASSWORD=" in (ROOT / ".env.example").read_text()
