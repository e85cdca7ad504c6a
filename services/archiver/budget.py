"""A bound on the memory that loaded metric data may take."""

import asyncio


class Budget:
    """So many bytes for everybody. What is larger than all of it waits until it is alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._changed = asyncio.Condition()
        self._turn = asyncio.Lock()

    async def take(self, amount: int) -> int:
        """Wait for room; returns what was taken, to be given back."""
        amount = min(amount, self._capacity)
        async with self._turn, self._changed:  # in the order of asking, or the small would for ever overtake the large
            await self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        return amount

    async def give_back(self, amount: int) -> None:
        async with self._changed:
            self._free += amount
            self._changed.notify_all()
