"""A bound on the memory for loaded metric data."""

import asyncio


class MemoryBudget:
    """A byte budget shared by all loads. A request above the budget runs alone."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = capacity
        self._changed = asyncio.Condition()
        self._queue = asyncio.Lock()

    async def acquire(self, amount: int) -> int:
        """Wait for room and reserve it. Returns the reserved bytes, which the caller must release."""
        amount = min(amount, self._capacity)
        async with self._queue, self._changed:  # first come, first served: small requests must not starve a large one
            await self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        return amount

    async def release(self, amount: int) -> None:
        async with self._changed:
            self._free += amount
            self._changed.notify_all()
