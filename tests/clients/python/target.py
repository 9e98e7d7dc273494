"""What the fan-out tests run against: TBX itself, or a server named by TBX_CLIENT_TARGET. The variables are those of ../node/target.mjs."""

import os
import uuid
from typing import Any

import httpx

from server import Tbx


class Target:
    def __init__(self, origin: str, stream: str, ws: str, poll: str, publish: str) -> None:
        self.origin = origin.rstrip("/")
        self._stream, self._ws, self._poll, self._publish = stream, ws, poll, publish

    def stream(self, through: str | None = None) -> str:
        return (through or self.origin) + self._stream

    def ws(self, through: str | None = None, **query: str) -> str:
        origin = (through or self.origin).replace("http:", "ws:", 1)
        return str(httpx.URL(origin + self._ws, params=query))

    def poll(self, through: str | None = None) -> str:
        return (through or self.origin) + self._poll

    async def publish(self, client: httpx.AsyncClient, topic: str, event: str, data: Any) -> None:
        answer = await client.post(self.origin + self._publish, json={"topic": topic, "event": event, "data": data})
        assert answer.status_code == 202, f"publish: {answer.status_code} {answer.text}"


def of_tbx(tbx: Tbx) -> Target:
    root = "/api/notifications"
    return Target(tbx.notifier, f"{root}/stream", f"{root}/ws", root, root)


def start() -> tuple[Target, Tbx | None]:
    """The target, and the process to be ended if it was started for it."""
    env = os.environ.get
    if origin := env("TBX_CLIENT_TARGET"):
        paths = (
            env("TBX_CLIENT_STREAM", "/stream"),
            env("TBX_CLIENT_WS", "/ws"),
            env("TBX_CLIENT_POLL", "/poll"),
            env("TBX_CLIENT_PUBLISH", "/publish"),
        )
        return Target(origin, *paths), None
    # Checkpoints come with the keep-alive: nobody wants to wait 15 seconds for one.
    tbx = Tbx(TBX_KEEP_ALIVE="1s")
    return of_tbx(tbx), tbx


def fresh_topic() -> str:
    """A topic that no other test uses, since all tests of a file share a server."""
    return f"test.{uuid.uuid4()}"
