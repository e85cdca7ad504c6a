"""Builds the web interface into the wheel, and for an editable installation into the source tree."""

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


def _pages(root: str) -> ModuleType:
    spec = spec_from_file_location("jobtide_pages", Path(root) / "web" / "pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class PagesHook(BuildHookInterface[Any]):
    PLUGIN_NAME = "custom"

    def dependencies(self) -> list[str]:
        """Node is fetched only when a build is due. Not every build needs it: a source distribution carries the built files."""
        pages = _pages(self.root)
        return [pages.NODE] if self._is_due(pages) else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """A build that fails, as without a package registry, leaves an installation that serves the API alone."""
        pages = _pages(self.root)
        if not self._is_due(pages):
            return
        try:
            pages.build()
        except pages.Failed as e:
            print(f"jobtide is installed without its pages: {str(e).splitlines()[0]}", file=sys.stderr)

    def _is_due(self, pages: ModuleType) -> bool:
        return not os.environ.get(pages.SKIP) and not pages.is_built()
