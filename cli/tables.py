"""Tables that fit the terminal; in a pipe or a file they are as wide as their content."""

import sys

from rich.console import Console
from rich.table import Table

MAX_COLUMNS = 1000


def print_tables(*tables: Table) -> None:
    """Print tables separated by an empty line. Cells are printed literally, never as markup."""
    on_terminal = sys.stdout.isatty()
    console = Console() if on_terminal else Console(width=MAX_COLUMNS)
    for index, table in enumerate(tables):
        if index:
            print()
        if on_terminal:
            console.print(table, markup=False)
            continue
        with console.capture() as text:
            console.print(table, markup=False)
        print("\n".join(line.rstrip() for line in text.get().splitlines()))
