"""What `watch` and `listen` return: poses one after the other, for a `for` and for an `async for`."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Iterator
from typing import Any, Generic, TypeVar

T = TypeVar("T")
S = TypeVar("S", bound="Stream[Any]")


class Stream(Generic[T]):
    """Items as they come. Leaving the loop closes it; any thread may close it, and one iterates."""

    @abstractmethod
    def take(self) -> T | None:
        """The next, waiting for it; None at the end, or when it is closed."""

    @abstractmethod
    def close(self) -> None:
        """Let go of everything, and end who waits; a second call does nothing."""

    def __iter__(self) -> Iterator[T]:
        try:
            while (item := self.take()) is not None:
                yield item
        finally:
            self.close()

    async def __aiter__(self) -> AsyncIterator[T]:
        try:
            while (item := await asyncio.to_thread(self.take)) is not None:
                yield item
        finally:
            self.close()  # the thread that waits comes back

    def __enter__(self: S) -> S:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
