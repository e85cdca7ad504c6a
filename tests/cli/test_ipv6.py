"""IPv6 wherever an address is given or printed."""

import urllib.request

import pytest

from shared.addresses import join_address, parse_address, reachable
from tests.cli.conftest import Up
from tests.cli.sites import assert_user_mistake, jobtide
from tests.support.builders import start_line
from tests.support.waiting import until_blocking


@pytest.mark.parametrize(
    ("address", "host", "port"),
    [("127.0.0.1:80", "127.0.0.1", 80), ("[::1]:0", "::1", 0), (":8080", "127.0.0.1", 8080), ("[fe80::1%eth0]:1", "fe80::1%eth0", 1)],
)
def test_an_address_is_parsed_and_formatted(address: str, host: str, port: int) -> None:
    assert parse_address(address) == (host, port)
    assert parse_address(join_address(host, port)) == (host, port)


@pytest.mark.parametrize("address", ["::1:8080", "::1", "[::1]", "[::1:80", "::1]:80", "[::1]80", "host", "host:http", "a:b:1"])
def test_an_ambiguous_address_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="is not HOST:PORT"):
        parse_address(address)


@pytest.mark.parametrize(
    ("listens", "connects"), [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("[::1]:1", "[::1]:1"), ("node7:1", "node7:1")]
)
def test_an_address_of_all_interfaces_is_reached_over_loopback(listens: str, connects: str) -> None:
    assert reachable(listens) == connects


@pytest.mark.parametrize("host", ["[::1]", "[::]"])
def test_a_site_listens_on_ipv6_and_names_usable_addresses(new_up: Up, host: str) -> None:
    variables = {f"JOBTIDE_{service}_HEALTH": "[::1]:0" for service in ("INGEST", "JOBSTORE", "ARCHIVER")}
    session = {"JOBTIDE_AUTH_SESSION_COOKIE_SECURE": "auto"} if host == "[::]" else {}
    site = new_up("--http", f"{host}:0", "--nats", f"{host}:0").start(**variables, **session)
    running = site.run_json
    for url in [running["http"], *running["health"].values()]:
        with urllib.request.urlopen(f"{url}/readyz", timeout=30) as answer:
            assert answer.status == 200
    assert running["http"].startswith("http://[::1]:")
    assert running["nats"].startswith("nats://[::1]:")
    assert f"http    {running['http']}\nnats    {running['nats']}\n" in site.log_text
    site.add_fritz()
    site.run("publish", "-", text=start_line(1, "fritz"))
    until_blocking(lambda: [job["jobId"] for job in site.jobs()] == [1])


@pytest.mark.parametrize("option", ["--http", "--nats"])
def test_an_address_without_brackets_is_reported_in_one_line(option: str) -> None:
    assert_user_mistake(jobtide("up", option, "::1:8080"), option, "in brackets")
