"""WebSocket as `websockets` sees it. Needs only a WebSocket and a publish address: see target.py."""

import asyncio
import unittest

from case import FanoutCase
from relay import Relay
from socket_client import SocketClient


class WebSocket(FanoutCase):
    def socket(self, through: str | None = None, **query: str) -> SocketClient:
        return SocketClient(self.target.ws(through, **query))

    async def test_a_notification_arrives_as_it_was_published(self) -> None:
        bodies = [{"text": 'zwei\nZeilen "Ünïcödé" 🦀 \u2028', "deep": [{"a": [1.5, True, None]}]}, "text", 7, None, [], "x" * 200_000]
        async with self.socket(topics=self.topic) as client:
            connected = await client.has("connected")
            self.assertEqual(client.messages[0], connected)
            self.assertIsNone(client.socket.subprotocol)
            await self.publish(*bodies)
            await client.has("notification", len(bodies))
            self.assertEqual(client.data, bodies)
            for message in client.of("notification"):
                self.assertEqual((message["topic"], message["event"]), (self.topic, "note"))
                self.assertNotIn("replay", message)

    async def test_a_client_subscribes_to_more_topics_and_takes_some_back(self) -> None:
        first, second = f"{self.topic}.first", f"{self.topic}.second"
        async with self.socket(topics=first) as client:
            await client.has("connected")
            await client.send({"type": "subscribe", "topics": [second]})
            self.assertIn(second, (await client.has("subscribed"))["topics"])
            await self.publish(1, topic=second)
            await client.has("notification")
            await client.send({"type": "unsubscribe", "topics": [second]})
            await client.ping()
            await self.publish(2, topic=second)
            await self.publish(3, topic=first)
            await client.has("notification", 2)
            self.assertEqual(client.data, [1, 3])

    async def test_a_connection_that_is_cut_resumes_with_each_event_once_and_in_order_while_writes_go_on(self) -> None:
        seen: list[dict] = []
        written: list[dict] = []
        cutting = True
        clients: list[SocketClient] = []

        async def write() -> None:
            while cutting:
                if len(written) - len(seen) - len(clients[-1].data) > 150:
                    await asyncio.sleep(0.002)
                    continue
                written.append({"n": len(written)})
                await self.publish(written[-1])

        async with Relay(self.target.origin) as relay:
            async with self.socket(relay.origin, topics=self.topic) as client:
                clients.append(client)
                await client.has("connected")
                writer = asyncio.create_task(write())
                for _ in range(5):
                    await clients[-1].has("notification", 40)
                    self.assertGreater(relay.cut(), 0)
                    self.assertEqual(await clients[-1].closed(), 1006)
                    seen += clients[-1].of("notification")
                    resumed = self.socket(relay.origin, topics=self.topic, after=seen[-1]["position"])
                    # The writer looks at the newest client only: it must be there before the sum is taken again.
                    clients.append(resumed)
                    await self.enterAsyncContext(resumed)
                cutting = False
                await writer
                await clients[-1].has("notification", len(written) - len(seen))
                seen += clients[-1].of("notification")
                self.assertEqual([message["data"] for message in seen], written)
                self.assertTrue(all(not client.of("gap") for client in clients))
                await clients[-1].socket.close()

    async def test_what_was_missed_is_marked_as_replayed_and_what_is_new_is_not(self) -> None:
        async with self.socket(topics=self.topic) as first:
            position = (await first.has("connected"))["position"]
        await self.publish(1, 2)
        async with self.socket(topics=self.topic, after=position) as second:
            await second.has("notification", 2)
            await self.publish(3)
            await second.has("notification", 3)
            self.assertEqual([(message["data"], message.get("replay", False)) for message in second.of("notification")], [(1, True), (2, True), (3, False)])

    async def test_a_garbage_position_is_told_as_a_gap(self) -> None:
        async with self.socket(topics=self.topic, after="garbage") as client:
            gap = await client.has("gap")
            self.assertEqual((gap["reason"], gap["requested"]), ("unknown", "garbage"))

    async def test_what_cannot_be_understood_is_answered_with_an_error(self) -> None:
        async with self.socket(topics=self.topic) as client:
            await client.has("connected")
            await client.send("{")
            error = await client.has("error")
            self.assertIsInstance(error["code"], str)
            self.assertIsInstance(error["message"], str)
            await client.ping()

    async def test_a_pattern_that_is_none_in_the_query_closes_with_4400_after_the_upgrade(self) -> None:
        async with self.socket(topics="a..b") as client:
            self.assertEqual(await client.closed(), 4400)

    async def test_a_ping_of_the_protocol_is_answered(self) -> None:
        async with self.socket() as client:
            async with asyncio.timeout(10):
                await (await client.socket.ping())


if __name__ == "__main__":
    unittest.main()
