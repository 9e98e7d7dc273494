"""SSE as `httpx-sse` sees it. Needs only a stream and a publish address: see target.py."""

import asyncio
import unittest

import httpx

from case import FanoutCase
from relay import Relay
from sse import SseClient
from wait import until


class Sse(FanoutCase):
    def stream(self, through: str | None = None, **query: str) -> SseClient:
        return SseClient(self.http, self.target.stream(through), query)

    async def test_a_notification_arrives_as_it_was_published(self) -> None:
        bodies = [{"text": 'zwei\nZeilen\r\n"Ünïcödé" 🦀 \u2028\u0085', "deep": [{"a": [1.5, True, None]}]}, "text", 7, None, [], "x" * 200_000]
        async with self.stream(topics=self.topic) as client:
            await self.publish(*bodies)
            await client.has(len(bodies))
            self.assertEqual(client.data, bodies)
            self.assertEqual(len({position for position, _, _ in client.events}), len(bodies))
            self.assertEqual({event for _, event, _ in client.events}, {"note"})

    async def test_only_topics_that_match_arrive_once(self) -> None:
        async with self.stream(topics=f"{self.topic}.*.red,{self.topic}.a.#,{self.topic}.end") as client:
            for end in ("a.red", "b.blue", "a.b.red", "end"):
                await self.publish(end, topic=f"{self.topic}.{end}")
            await client.has(3)
            self.assertEqual(client.data, ["a.red", "a.b.red", "end"])

    async def test_a_stream_that_is_cut_goes_on_with_each_event_once_and_in_order_while_writes_go_on(self) -> None:
        written: list[dict] = []
        cutting = True

        async def write(client: SseClient) -> None:
            while cutting:
                if len(written) - len(client.events) > 150:
                    await asyncio.sleep(0.002)
                    continue
                written.append({"n": len(written)})
                await self.publish(written[-1])

        async with Relay(self.target.origin) as relay, self.stream(relay.origin, topics=self.topic) as client:
            writer = asyncio.create_task(write(client))
            for cuts in range(1, 6):
                await client.has(len(client.events) + 40)
                self.assertGreater(relay.cut(), 0)
                await client.connected(cuts + 1)
            cutting = False
            await writer
            await client.has(len(written))
            self.assertEqual(client.data, written)
            self.assertEqual(client.gaps, [])

    async def test_a_garbage_position_is_told_as_a_gap_and_the_stream_goes_on_from_the_head(self) -> None:
        await self.publish("before")
        async with self.stream(topics=self.topic, lastEventId="garbage") as client:
            await until("the gap", lambda: client.gaps)
            self.assertEqual(client.gaps[0]["reason"], "unknown")
            self.assertEqual(client.gaps[0]["requested"], "garbage")
            await self.publish("after")
            await client.has(1)
            self.assertEqual(client.data, ["after"])

    async def test_a_pattern_that_is_none_is_refused_with_the_reason(self) -> None:
        answer = await self.http.get(self.target.stream(), params={"topics": "a..b"})
        self.assertEqual(answer.status_code, 400)
        self.assertEqual(answer.headers["content-type"], "application/problem+json")
        with self.assertRaises(httpx.HTTPStatusError):
            async with self.stream(topics="a..b"):
                pass


if __name__ == "__main__":
    unittest.main()
