"""A client on `websockets` that keeps everything it was told."""

import asyncio
import json
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from wait import DEADLINE, until


class SocketClient:
    """Use it as an asynchronous context: it listens meanwhile."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.messages: list[dict] = []

    async def __aenter__(self) -> "SocketClient":
        # Resumed clients may get large messages in one go.
        self.socket = await connect(self.url, max_size=None, open_timeout=DEADLINE)
        self._task = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_) -> None:
        await self.socket.close()
        await self._task

    def of(self, kind: str) -> list[dict]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def data(self) -> list[Any]:
        return [message["data"] for message in self.of("notification")]

    async def send(self, message: dict | str) -> None:
        await self.socket.send(message if isinstance(message, str) else json.dumps(message))

    async def has(self, kind: str, count: int = 1) -> dict:
        """Waits for `count` messages of a kind and gives the last of them."""

        def met() -> bool:
            enough = len(self.of(kind)) >= count
            assert enough or not self._task.done(), f"closed: {self.close_code} {self.socket.close_reason} {self.messages[-3:]}"
            return enough

        await until(f"{count} × {kind}", met, lambda: self.messages[-3:])
        return self.of(kind)[count - 1]

    async def closed(self) -> int:
        await until("the close", self._task.done, lambda: self.messages[-3:])
        return self.close_code

    @property
    def close_code(self) -> int | None:
        return self.socket.close_code

    async def ping(self) -> None:
        """When the answer has come, the server has read what was sent before."""
        before = len(self.of("pong"))
        await self.send({"type": "ping"})
        await self.has("pong", before + 1)

    async def _listen(self) -> None:
        try:
            async for message in self.socket:
                self.messages.append(json.loads(message))
        except ConnectionClosed:
            pass
