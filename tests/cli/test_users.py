"""`jobtide user` on a data folder in which no site runs."""

import sqlite3
from pathlib import Path

import bcrypt
import pytest

from tests.cli.sites import assert_user_mistake, jobtide
from tests.support.databases import SqliteTemplate


@pytest.fixture
def folder(sqlite_template: SqliteTemplate, tmp_path: Path) -> Path:
    sqlite_template.fresh(tmp_path)
    return tmp_path


def test_the_life_of_users(folder: Path) -> None:
    at = ("--data", folder)
    added = jobtide(
        "user", "add", "erika", "--role", "Admin", "--role", "api", "--name", "Erika M", "--password-stdin", *at, text=b"s3cret:words\n"
    )
    assert (added.returncode, added.stdout) == (0, "added erika with the roles admin, api\n"), added.stderr
    assert jobtide("user", "add", "feeder", "--role", "api", *at).returncode == 0  # needs no password
    listed = jobtide("user", "list", *at).stdout
    assert [line.split() for line in listed.splitlines()[1:]] == [
        ["erika", "admin,", "api", "password", "Erika", "M"],
        ["feeder", "api", "token", "only"],
    ]
    changed = jobtide("user", "role", "feeder", "--add", "manager", "--remove", "api", *at)
    assert changed.stdout == "feeder: manager\n", changed.stderr
    assert jobtide("user", "project", "feeder", "--add", "p1", "--add", "p2", *at).stdout == "feeder: manager; supervises p1, p2\n"
    assert_user_mistake(jobtide("user", "role", "feeder", "--remove", "manager", *at), "p1, p2")
    assert_user_mistake(jobtide("user", "remove", "erika", *at), "last admin")
    assert jobtide("user", "password", "erika", "--password-stdin", *at, text=b"other words\n").returncode == 0
    with sqlite3.connect(folder / "jobtide.db") as database:
        ((hashed, roles, projects),) = database.execute("SELECT password, roles, projects FROM hpc_user WHERE username = 'erika'")
    assert bcrypt.checkpw(b"other words", hashed.encode())
    assert (hashed[:7], roles, projects) == ("$2a$10$", '["admin","api"]', "[]")
    assert jobtide("user", "remove", "feeder", *at).stdout == "removed feeder\n"


def test_user_errors_are_one_line(folder: Path) -> None:
    at = ("--data", folder)
    assert_user_mistake(jobtide("user", "add", "erika", "--role", "root", "--password-stdin", *at, text=b"x\n"), "root")
    assert_user_mistake(jobtide("user", "add", "erika", "--role", "user", *at), "--password-stdin")
    assert_user_mistake(jobtide("user", "add", "erika", "--role", "user", "--password-stdin", *at, text=b"x" * 80), "72 bytes")
    assert_user_mistake(jobtide("user", "add", "erika", "--role", "user", "--password-stdin", *at, text=b"ninechars\n"), "10 characters")
    assert_user_mistake(jobtide("user", "role", "ghost", "--add", "user", *at), "ghost")
