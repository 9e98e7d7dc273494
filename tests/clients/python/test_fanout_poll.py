"""Catching up and long polling in JSON, with httpx. Needs only a poll and a publish address: see target.py."""

import asyncio
import time
import unittest

import httpx

from case import FanoutCase
from relay import Relay


class Poll(FanoutCase):
    async def poll(self, **query: str | int) -> dict:
        answer = await self.http.get(self.target.poll(), params={"topics": self.topic} | query)
        self.assertEqual(answer.status_code, 200, answer.text)
        self.assertEqual(answer.headers["content-type"].partition(";")[0], "application/json")
        return answer.json()

    async def head(self) -> str:
        answer = await self.poll()
        self.assertEqual(answer["items"], [], "without a position it starts at the head")
        return answer["next"]

    async def test_what_came_after_a_position_is_given_with_the_position_to_go_on_from(self) -> None:
        start = await self.head()
        await self.publish({"n": 0}, "zwei")
        await self.publish("elsewhere", topic=f"{self.topic}.elsewhere")
        answer = await self.poll(after=start)
        self.assertNotIn("gap", answer)
        for item in answer["items"]:
            self.assertEqual(set(item), {"position", "topic", "event", "data"})
        self.assertEqual([(item["topic"], item["event"], item["data"]) for item in answer["items"]], [(self.topic, "note", {"n": 0}), (self.topic, "note", "zwei")])
        again = await self.poll(after=answer["next"])
        self.assertEqual(again["items"], [])

    async def test_pages_join_without_a_gap_or_an_overlap(self) -> None:
        position = await self.head()
        await self.publish(*range(25))
        seen: list[int] = []
        while len(seen) < 25:
            answer = await self.poll(after=position, limit=4)
            self.assertTrue(1 <= len(answer["items"]) <= 4)
            seen += [item["data"] for item in answer["items"]]
            position = answer["next"]
        self.assertEqual(seen, list(range(25)))
        # The positions of items serve as well as `next`.
        first = (await self.poll(limit=100, after=await self._position_of(0)))["items"]
        self.assertEqual([item["data"] for item in first], list(range(1, 25)))

    async def _position_of(self, data: int) -> str:
        items = (await self.poll(**{"from": "oldest", "limit": 1000}))["items"]
        return next(item["position"] for item in items if item["data"] == data)

    async def test_a_poll_that_waits_is_answered_when_something_comes(self) -> None:
        start = await self.head()
        waiting = asyncio.create_task(self.poll(after=start, wait=20))
        began = time.monotonic()
        await self.publish("elsewhere", topic=f"{self.topic}.elsewhere")
        self.assertFalse(waiting.done(), "what is for others ends no waiting")
        await self.publish("at last")
        answer = await waiting
        self.assertEqual([item["data"] for item in answer["items"]], ["at last"])
        self.assertLess(time.monotonic() - began, 15)

    async def test_a_poll_that_waits_in_vain_is_answered_with_nothing(self) -> None:
        start = await self.head()
        began = time.monotonic()
        answer = await self.poll(after=start, wait=1)
        self.assertEqual(answer["items"], [])
        self.assertGreaterEqual(time.monotonic() - began, 0.9)

    async def test_polling_over_a_line_that_is_cut_sees_each_event_once_and_in_order_while_writes_go_on(self) -> None:
        position = await self.head()
        seen: list[int] = []

        async def write() -> None:
            await self.publish(*range(300))

        async with Relay(self.target.origin) as relay, httpx.AsyncClient(timeout=30) as http:
            writer = asyncio.create_task(write())
            cuts = 0
            while len(seen) < 300:
                if len(seen) > 60 * (cuts + 1):
                    # Cut in the middle of a request, more often than not.
                    asyncio.get_running_loop().call_soon(relay.cut)
                    cuts += 1
                try:
                    query = {"topics": self.topic, "after": position, "wait": 5, "limit": 20}
                    answer = (await http.get(self.target.poll(relay.origin), params=query)).json()
                except httpx.TransportError:
                    continue
                seen += [item["data"] for item in answer["items"]]
                position = answer["next"]
            await writer
        self.assertEqual(seen, list(range(300)))
        self.assertGreater(cuts, 2)

    async def test_a_garbage_position_is_told_as_a_gap_and_goes_on_from_the_head(self) -> None:
        await self.publish("before")
        answer = await self.poll(after="garbage")
        self.assertEqual(answer["gap"]["reason"], "unknown")
        self.assertEqual(answer["gap"]["requested"], "garbage")
        self.assertEqual(answer["items"], [])
        await self.publish("after")
        again = await self.poll(after=answer["next"])
        self.assertEqual([item["data"] for item in again["items"]], ["after"])

    async def test_what_cannot_be_read_is_refused_with_the_reason(self) -> None:
        for query in ({"topics": "a..b"}, {"limit": "0"}, {"limit": "many"}, {"limit": "100000"}, {"wait": "-1"}, {"wait": "long"}):
            answer = await self.http.get(self.target.poll(), params=query)
            self.assertEqual(answer.status_code, 400, query)
            self.assertEqual(answer.headers["content-type"], "application/problem+json", query)


if __name__ == "__main__":
    unittest.main()
