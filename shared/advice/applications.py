"""Detecting applications in job scripts. Source: metric reference 8.1."""

import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from shared.advice.rules import RuleError

SHIPPED = Path(__file__).parent / "applications.toml"
MAX_SCRIPT = 256 * 1024  # characters searched
MAX_LINE = 4096
KNOWN_WORDS = 4096
MAX_KNOWN_WORD = 64  # characters; longer words are rarely repeated
_BEYOND_A_WORD = re.compile(r"(?<!\\)(?:\\\\)*(?: |\\s|(?<!\[)\^|\$)")
_COMMENT = re.compile(r"(?:^|\s)#.*")


class Applications:
    """Patterns by application. They match whole names in text without white space, ignoring case and comments."""

    def __init__(self, patterns: Mapping[str, Sequence[str]]) -> None:
        self._patterns = {name: _whole_name(own) for name, own in patterns.items()}
        # One look at a word shows whether it is worth the others. References to groups mean other groups in a joined pattern.
        has_groups = any(pattern.groups for pattern in self._patterns.values())
        self._any = re.compile("") if has_groups else _whole_name([pattern for own in patterns.values() for pattern in own])
        self._in_word = lru_cache(maxsize=KNOWN_WORDS)(self._find)  # the scripts of a site consist of the same words

    @classmethod
    def read(cls, file: Path = SHIPPED) -> "Applications":
        """Read a TOML table of lists. Raises RuleError."""
        try:
            patterns = tomllib.loads(file.read_text(encoding="utf-8"))
            for name, own in patterns.items():
                if found := [pattern for pattern in own if _BEYOND_A_WORD.search(pattern)]:
                    raise RuleError(f"{file}: {name}: {found[0]!r} is compared with single words, which have no white space or line ends")
            return cls(patterns)
        except OSError as e:
            raise RuleError(f"{file}: {e.strerror}") from e
        except (ValueError, TypeError, re.error) as e:
            raise RuleError(f"{file}: {e}") from e

    @property
    def names(self) -> list[str]:
        return sorted(self._patterns)

    def in_script(self, script: str) -> list[str]:
        """The names of all applications in a job script, in the order of the patterns."""
        words = {word for line in _code(script) for word in line.split()}
        found = {name for word in words for name in (self._in_word(word) if len(word) <= MAX_KNOWN_WORD else self._find(word))}
        return [name for name in self._patterns if name in found]

    def _find(self, word: str) -> tuple[str, ...]:
        if self._any.search(word) is None:
            return ()
        return tuple(name for name, pattern in self._patterns.items() if pattern.search(word))


def _whole_name(patterns: Sequence[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(f'(?:{pattern})' for pattern in patterns)})(?![\w-])", re.IGNORECASE)


def _code(script: str) -> Iterator[str]:
    for line in script[:MAX_SCRIPT].splitlines():
        code = line[:MAX_LINE]
        yield _COMMENT.sub("", code) if "#" in code else code
