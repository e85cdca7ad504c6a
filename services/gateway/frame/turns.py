"""Taking turns in the event loop: it looks after its clocks and sockets between two pieces of work.

Many requests that become ready at the same moment would otherwise be worked off in one go, while nothing else happens.
"""

import asyncio


class Turns:
    """Work of a millisecond or more follows ``next``, without a wait in between."""

    def __init__(self) -> None:
        self._free = asyncio.Lock()

    async def next(self) -> None:
        async with self._free:
            await asyncio.sleep(0)
