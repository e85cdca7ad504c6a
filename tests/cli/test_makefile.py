"""`make` finds a Python that is new enough, or reports in one line that there is none."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.processes import REPOSITORY

NEW = "exit 0"
OLD = 'if [ "$1" = --version ]; then echo Python 3.10.13; else exit 1; fi'
BROKEN = "echo no such version >&2; exit 127"


def make(folder: Path, pythons: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """`make` in a fresh copy, where ``pythons`` are the only ones: shell commands by name."""
    programs = folder / "bin"
    programs.mkdir()
    for name in ("sh", "make", "touch"):
        program = shutil.which(name)
        assert program is not None
        (programs / name).symlink_to(program)
    for name, command in pythons.items():
        (programs / name).write_text(f"#!/bin/sh\n{command}\n")
        (programs / name).chmod(0o755)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(REPOSITORY / name, folder)
    # The outer make, which may run these tests, hands down its level and flags.
    of_make = {"PYTHON", "MAKELEVEL", "MAKEFLAGS", "MFLAGS"}
    environment = {name: value for name, value in os.environ.items() if name not in of_make} | {"PATH": str(programs)}
    return subprocess.run(["make", *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=20, check=False)


@pytest.mark.parametrize(
    ("pythons", "taken"),
    [
        ({"python3.11": NEW, "python3": NEW}, "python3.11"),
        ({"python3": NEW}, "python3"),
        ({"python3.11": BROKEN, "python3": NEW}, "python3"),
        ({"python3": OLD, "python3.13": NEW}, "python3.13"),
    ],
)
@pytest.mark.parametrize("target", ["demo", "test"])
def test_the_first_python_that_is_new_enough_is_used(tmp_path: Path, target: str, pythons: dict[str, str], taken: str) -> None:
    done = make(tmp_path, pythons, "--dry-run", target)
    assert f"\n{taken} -m venv .venv\n" in done.stdout


@pytest.mark.parametrize(
    ("pythons", "arguments", "why"),
    [
        ({"python3": OLD}, [], "python3 is Python 3.10.13"),
        ({"python3": NEW, "other": OLD}, ["PYTHON=other"], "other is Python 3.10.13"),
        ({}, [], "python3 is missing"),
    ],
)
def test_a_python_that_is_too_old_is_reported_in_one_line(tmp_path: Path, pythons: dict[str, str], arguments: list[str], why: str) -> None:
    done = make(tmp_path, pythons, "demo", *arguments)
    assert done.returncode != 0
    first, *others = done.stderr.strip().splitlines()
    assert first == f"jobtide needs Python 3.11 or newer, and {why}; name another one with PYTHON=..."
    assert all(line.startswith("make: ***") for line in others)
    assert not (tmp_path / ".venv").exists()
