"""User errors: exit code 2, one clear line, no traceback. And quick help."""

import subprocess
from importlib.metadata import version
from pathlib import Path

import pytest

from cli.embedded.folder import DataFolder
from cli.site import Site
from tests.cli.sites import assert_user_mistake, jobtide

COMMANDS = [
    [],
    ["up"],
    ["provision"],
    ["migrate"],
    ["cluster"],
    ["cluster", "add"],
    ["cluster", "list"],
    ["token"],
    ["keys"],
    ["publish"],
    ["import"],
    ["optimize"],
    ["rebuild"],
    ["reconcile"],
    ["archive"],
    ["archive", "retry"],
    ["archive", "verify"],
    ["archive", "thumbnails"],
    ["archive", "info"],
    ["archive", "convert"],
    ["archive", "remove"],
    ["archive", "clean"],
    ["rejections"],
    ["replay"],
    ["status"],
    ["settings"],
]
NO_BROKER = "nats://127.0.0.1:1"


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_of_every_command_imports_only_what_it_needs(command: list[str]) -> None:
    done = jobtide(*command, "--help", PYTHONPROFILEIMPORTTIME="1")
    assert done.returncode == 0
    assert "Usage: jobtide" in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "typer" in loaded
    assert not loaded & {"faststream", "sqlalchemy", "numpy", "aiohttp"}


def test_the_version_is_shown() -> None:
    assert jobtide("--version").stdout == f"jobtide {version('jobtide')}\n"


@pytest.mark.parametrize("command", [[], ["cluster"], ["archive"]], ids=" ".join)
def test_without_a_subcommand_there_is_help_and_no_error_line(command: list[str]) -> None:
    done = jobtide(*command)
    assert "Usage: jobtide" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (["pubish"], "pubish"),
        (["publish"], "FILE"),
        (["publish", "no-such-file"], "no-such-file"),
        (["replay"], "--seq"),
        (["replay", "--seq", "x"], "--seq"),
        (["replay", "--seq", "0"], "--seq"),
        (["replay", "--seq", "1", "--code", "unknown_cluster"], "--code"),
        (["replay", "--seq", "1", "--cluster", "fritz"], "--cluster"),
        (["replay", "--code", "typo"], "typo"),
        (["replay", "--code", "unknown_cluster", "--since", "soon"], "--since"),
        (["token", "ann"], "--role"),
        (["token", "ann", "--role", "king"], "king"),
        (["token", "ann", "--role", "api", "--ttl", "soon"], "soon"),
        (["token", "ann", "--role", "api"], "no signing key"),
        (["cluster", "add", "nowhere"], "nowhere"),
        (["archive", "retry"], "--failed"),
        (["archive", "verify", "nowhere"], "nowhere"),
        (["archive", "thumbnails", "nowhere"], "nowhere"),
        (["import", "nowhere"], "nowhere"),
        (["up", "--http", "8080"], "--http"),
        (["up", "--http", "127.0.0.1:0", "--nats", "here"], "--nats"),
        (["up", "--unknown"], "--unknown"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_user_error_is_one_line(tmp_path: Path, arguments: list[str], word: str) -> None:
    assert_user_mistake(jobtide(*arguments, cwd=tmp_path), word)


@pytest.mark.parametrize(
    "command", [["status"], ["provision"], ["cluster", "list"], ["replay", "--seq", "1"], ["publish", "-"]], ids=" ".join
)
def test_a_folder_without_a_running_site_is_a_user_error(tmp_path: Path, command: list[str]) -> None:
    assert_user_mistake(jobtide(*command, "--data", tmp_path, text=b"job a=1\n"), "no site runs", str(tmp_path))


ON_A_DATABASE = [["rejections"], ["migrate"], ["archive", "retry", "--failed"], ["provision", "--continue-log"]]


@pytest.mark.parametrize("command", ON_A_DATABASE, ids=" ".join)
def test_a_folder_that_is_not_a_site_is_a_user_error_and_not_changed(tmp_path: Path, command: list[str]) -> None:
    assert_user_mistake(jobtide(*command, "--data", tmp_path / "typo"), "not the data folder", str(tmp_path / "typo"))
    assert not (tmp_path / "typo").exists()


def test_the_error_about_a_missing_schema_names_the_command_that_creates_it(private_nats_url: str, tmp_path: Path) -> None:
    database = tmp_path / "new.db"

    def run(*command: str) -> subprocess.CompletedProcess[str]:
        return jobtide(*command, cwd=tmp_path, JOBTIDE_NATS_URL=private_nats_url, JOBTIDE_DATABASE_URL=f"sqlite:///{database}")

    for command in (["status"], ["rejections"], ["archive", "retry", "--failed"]):
        assert_user_mistake(run(*command), "new.db; `jobtide migrate` creates it")
    assert not database.exists()  # reading must not create it
    database.touch()
    assert_user_mistake(run("status"), "schema is at nothing", "run `jobtide migrate`")


def test_a_file_that_is_not_a_database_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "jobtide.db").write_text("something else, long enough to be read as the header of a file" * 20)
    assert_user_mistake(jobtide("up", "--data", tmp_path, "--http", "127.0.0.1:0", "--nats", "127.0.0.1:0"), "jobtide.db")


def test_an_unreachable_broker_is_one_line_and_exit_code_1(tmp_path: Path) -> None:
    done = jobtide("provision", cwd=tmp_path, JOBTIDE_NATS_URL=NO_BROKER)
    assert done.returncode == 1
    assert done.stderr == f"jobtide: no broker at {NO_BROKER}\n"


def test_an_unreachable_broker_given_to_up_ends_it_with_one_line(tmp_path: Path) -> None:
    done = jobtide("up", "--data", tmp_path, "--http", "127.0.0.1:0", "--nats", NO_BROKER)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"jobtide: --nats: no broker at {NO_BROKER}"


def test_a_wrong_setting_is_named(tmp_path: Path) -> None:
    assert_user_mistake(jobtide("provision", cwd=tmp_path, JOBTIDE_NATS_REPLICAS="9"), "JOBTIDE_NATS_REPLICAS")
    (tmp_path / "site.toml").write_text("[nats]\nreplicas = 9\n")
    assert_user_mistake(jobtide("provision", cwd=tmp_path, JOBTIDE_CONFIG=str(tmp_path / "site.toml")), "site.toml: [nats] replicas: ")


def test_an_invalid_cluster_file_is_reported_before_connecting(tmp_path: Path) -> None:
    wrong = tmp_path / "cluster.json"
    wrong.write_text('{"name": "x"}')
    done = jobtide("cluster", "add", wrong, cwd=tmp_path, JOBTIDE_NATS_URL=NO_BROKER)
    assert_user_mistake(done, str(wrong), "metricConfig")
    wrong.write_text("{")
    assert_user_mistake(jobtide("cluster", "add", wrong, cwd=tmp_path, JOBTIDE_NATS_URL=NO_BROKER), f"{wrong}: Invalid JSON")


def test_a_data_folder_that_cannot_be_created_is_a_user_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert_user_mistake(jobtide("up", "--data", tmp_path / "file" / "data"), str(tmp_path / "file" / "data"))


def test_the_site_in_the_default_folder_is_found_while_it_is_stopped(tmp_path: Path) -> None:
    assert "127.0.0.1:4222" in jobtide("status", cwd=tmp_path).stderr
    folder = DataFolder(tmp_path / "var")
    folder.credentials_file.parent.mkdir(parents=True)
    folder.credentials_file.write_text("{}")
    done = jobtide("status", cwd=tmp_path)
    assert done.returncode == 2
    assert "127.0.0.1:4222" not in done.stderr
    assert "var" in done.stderr


@pytest.mark.parametrize(
    ("url", "name"),
    [("nats://127.0.0.1:4222", "127.0.0.1:4222"), ("nats://ann:secret@a:1,tls://b:2", "a:1, b:2"), ("[::1]:5", "[::1]:5")],
)
def test_a_deployment_is_named_without_its_password(url: str, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JOBTIDE_NATS_URL", url)
    assert Site(None).name == f"the deployment with the broker {name}"
