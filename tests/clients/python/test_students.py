"""Students as clients of the whole product see them, through stops and restarts."""

import asyncio
import unittest
import uuid

import httpx

import target as targets
from server import Tbx
from socket_client import SocketClient
from sse import SseClient

CHANGES = "student.created,student.updated,student.deleted"


class Students(unittest.IsolatedAsyncioTestCase):
    @classmethod
    def setUpClass(cls) -> None:
        cls.tbx = Tbx()
        cls.target = targets.of_tbx(cls.tbx)

    @classmethod
    def tearDownClass(cls) -> None:
        cls.tbx.end()

    async def asyncSetUp(self) -> None:
        self.http = await self.enterAsyncContext(httpx.AsyncClient(timeout=30))

    async def call(self, method: str, path: str, status: int, body: dict | None = None) -> dict | None:
        answer = await self.http.request(method, f"{self.tbx.api}/api/students{path}", json=body)
        self.assertEqual(answer.status_code, status, answer.text)
        return answer.json() if answer.content else None

    async def create(self) -> dict:
        body = {"firstName": "Ada", "lastName": "Lovelace", "email": f"{uuid.uuid4()}@example.org"}
        return await self.call("POST", "", 201, body)

    async def life_of_a_student(self) -> list[tuple]:
        created = await self.create()
        await self.call("PATCH", f"/{created['id']}", 200, {"lastName": "King"})
        await self.call("DELETE", f"/{created['id']}", 204)
        events = (("StudentCreated", "created", "Lovelace"), ("StudentUpdated", "updated", "King"), ("StudentDeleted", "deleted", "King"))
        return [(kind, f"student.{topic}", created["id"], version, name) for version, (kind, topic, name) in enumerate(events, 1)]

    def check(self, bodies: list[dict], expected: list[tuple]) -> None:
        summary = [(body["eventType"], body["routingKey"], body["student"]["id"], body["student"]["version"], body["student"]["lastName"]) for body in bodies]
        self.assertEqual(summary, expected)
        for body in bodies:
            self.assertEqual(set(body), {"id", "eventType", "routingKey", "student", "timestamp", "userId"})
            self.assertIsNone(body["userId"])

    async def test_a_student_that_is_created_changed_and_deleted_is_told_over_sse(self) -> None:
        async with SseClient(self.http, self.target.stream(), {"topics": CHANGES}) as client:
            expected = await self.life_of_a_student()
            await client.has(3)
            self.check(client.data, expected)

    async def test_a_student_that_is_created_changed_and_deleted_is_told_over_websocket(self) -> None:
        async with SocketClient(self.target.ws(topics=CHANGES)) as client:
            await client.has("connected")
            expected = await self.life_of_a_student()
            await client.has("notification", 3)
            self.check(client.data, expected)

    async def test_a_student_that_is_created_changed_and_deleted_is_told_to_those_who_poll(self) -> None:
        url = self.target.poll()
        start = (await self.http.get(url, params={"topics": CHANGES})).json()["next"]
        expected = await self.life_of_a_student()
        bodies: list[dict] = []
        while len(bodies) < 3:
            answer = (await self.http.get(url, params={"topics": CHANGES, "after": start, "wait": 10})).json()
            self.assertTrue(answer["items"], bodies)
            bodies += [item["data"] for item in answer["items"]]
            start = answer["next"]
        self.check(bodies, expected)

    async def test_a_stream_is_told_when_to_come_back_and_misses_nothing_over_a_restart(self) -> None:
        async with SseClient(self.http, self.target.stream(), {"topics": "student.created"}) as client:
            before = [(await self.create())["id"] for _ in range(5)]
            await client.has(5)
            await asyncio.to_thread(self.tbx.stop)
            await asyncio.to_thread(self.tbx.start)
            after = [(await self.create())["id"] for _ in range(5)]
            await client.has(10)
            self.assertIsNotNone(client.retry)
            self.assertTrue(1000 <= client.retry <= 10_000, client.retry)
            # Events of different students keep no order among each other.
            self.assertEqual(sorted(body["student"]["id"] for body in client.data), sorted(before + after))
            self.assertEqual(client.gaps, [])

    async def test_a_websocket_is_closed_with_a_code_that_says_come_back_and_resumes_after_the_restart(self) -> None:
        async with SocketClient(self.target.ws(topics="student.created")) as client:
            position = (await client.has("connected"))["position"]
            before = [(await self.create())["id"] for _ in range(5)]
            await client.has("notification", 5)
            await asyncio.to_thread(self.tbx.stop)
            self.assertIn(await client.closed(), (1001, 1012))
        await asyncio.to_thread(self.tbx.start)
        async with SocketClient(self.target.ws(topics="student.created", after=position)) as client:
            after = [(await self.create())["id"] for _ in range(5)]
            await client.has("notification", 10)
            self.assertEqual(sorted(body["student"]["id"] for body in client.data), sorted(before + after))
            self.assertEqual(client.of("gap"), [])


if __name__ == "__main__":
    unittest.main()
