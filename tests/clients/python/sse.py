"""A client on `httpx-sse` that reconnects as its documentation recommends, and keeps everything it was told."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import httpx
from httpx_sse import aconnect_sse

from wait import until


@dataclass
class SseClient:
    """Use it as an asynchronous context: it listens meanwhile. `events` are (id, event, data)."""

    http: httpx.AsyncClient
    url: str
    query: dict[str, str]
    events: list[tuple[str, str, Any]] = field(default_factory=list)
    connects: list[dict] = field(default_factory=list)
    gaps: list[dict] = field(default_factory=list)
    retry: int | None = None
    last_id: str = ""

    async def __aenter__(self) -> "SseClient":
        self._task = asyncio.create_task(self._listen())
        await self.connected(1)
        return self

    async def __aexit__(self, *_) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    @property
    def data(self) -> list[Any]:
        return [data for _, _, data in self.events]

    async def connected(self, times: int) -> None:
        await self._until(f"connection {times}", lambda: len(self.connects) >= times)

    async def has(self, count: int) -> None:
        await self._until(f"{count} events", lambda: len(self.events) >= count)

    async def _until(self, what: str, condition) -> None:
        def met() -> bool:
            # What ends the listening for good should be seen as itself, not as a deadline.
            if self._task.done():
                self._task.result()
            return condition()

        await until(what, met, lambda: (len(self.events), self.connects, self.gaps))

    async def _listen(self) -> None:
        while True:
            try:
                await self._listen_once()
            except httpx.TransportError:
                pass
            # A client may come back sooner than after the 3 seconds of browsers; a server that says when is obeyed.
            await asyncio.sleep((self.retry or 50) / 1000)

    async def _listen_once(self) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with aconnect_sse(self.http, "GET", self.url, params=self.query, headers=headers, timeout=None) as source:
            source.response.raise_for_status()
            async for event in source.aiter_sse():
                self.last_id = event.id or self.last_id
                self.retry = event.retry or self.retry
                if event.event == "connected":
                    self.connects.append(json.loads(event.data))
                elif event.event == "gap":
                    self.gaps.append(json.loads(event.data))
                elif event.data:
                    # An id without data is a checkpoint.
                    self.events.append((event.id, event.event, json.loads(event.data)))
