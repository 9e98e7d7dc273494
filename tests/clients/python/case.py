"""What the fan-out tests share: a target for each file and an HTTP client for each test."""

import unittest

import httpx

import target as targets


class FanoutCase(unittest.IsolatedAsyncioTestCase):
    target: targets.Target

    @classmethod
    def setUpClass(cls) -> None:
        cls.target, cls.tbx = targets.start()

    @classmethod
    def tearDownClass(cls) -> None:
        if cls.tbx:
            cls.tbx.end()

    async def asyncSetUp(self) -> None:
        # Streams and publishing must not wait for each other's connections.
        limits = httpx.Limits(max_connections=None)
        self.http = await self.enterAsyncContext(httpx.AsyncClient(limits=limits, timeout=30))
        self.topic = targets.fresh_topic()

    async def publish(self, *bodies, topic: str | None = None) -> None:
        for body in bodies:
            await self.target.publish(self.http, topic or self.topic, "note", body)
