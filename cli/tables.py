"""Tables on a terminal as wide as it is, in a pipe or a file as wide as they need."""

import sys

from rich.console import Console
from rich.table import Table

MOST_COLUMNS = 1000


def print_tables(*tables: Table) -> None:
    """With an empty line between them. Nothing in the cells is taken for markup."""
    on_terminal = sys.stdout.isatty()
    console = Console() if on_terminal else Console(width=MOST_COLUMNS)
    for index, table in enumerate(tables):
        if index:
            print()
        if on_terminal:
            console.print(table, markup=False)
            continue
        with console.capture() as text:
            console.print(table, markup=False)
        print("\n".join(line.rstrip() for line in text.get().splitlines()))
