"""Detecting applications in job scripts. Source: metric reference 8.1."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path

from shared.advice.rules import RuleError

SHIPPED = Path(__file__).parent / "applications.toml"
MAX_SCRIPT = 256 * 1024  # characters searched
MAX_LINE = 4096
_COMMENT = re.compile(r"(?:^|\s)#.*")


class Applications:
    """Patterns by application. They match whole words, ignoring case and comments."""

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        self._patterns = {name: re.compile(rf"(?<![\w-])(?:{'|'.join(own)})(?![\w-])", re.IGNORECASE) for name, own in patterns.items()}

    @classmethod
    def read(cls, file: Path = SHIPPED) -> "Applications":
        """Read a TOML table of lists. Raises RuleError."""
        try:
            return cls(tomllib.loads(file.read_text(encoding="utf-8")))
        except OSError as e:
            raise RuleError(f"{file}: {e.strerror}") from e
        except (ValueError, TypeError, re.error) as e:
            raise RuleError(f"{file}: {e}") from e

    @property
    def names(self) -> list[str]:
        return sorted(self._patterns)

    def in_script(self, script: str) -> list[str]:
        """The names of all applications in a job script."""
        code = "\n".join(_COMMENT.sub("", line[:MAX_LINE]) for line in script[:MAX_SCRIPT].splitlines())
        return [name for name, pattern in self._patterns.items() if pattern.search(code)]
