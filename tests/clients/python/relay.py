"""A TCP relay that kills connections: the network between a client and the server."""

import asyncio
import contextlib
import socket
import struct
from urllib.parse import urlsplit


class Relay:
    """Use it as an asynchronous context."""

    def __init__(self, origin: str) -> None:
        self._upstream = urlsplit(origin)
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self) -> "Relay":
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.origin = "http://127.0.0.1:%d" % self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *_) -> None:
        self._server.close()
        self.cut()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    def cut(self) -> int:
        """Kills every connection the hard way, with a reset on both sides; gives how many ends there were."""
        writers = list(self._writers)
        for writer in writers:
            # Lingering for no time turns a close into a reset. One that has just ended has no socket any more.
            with contextlib.suppress(OSError):
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        return len(writers)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._tasks.add(asyncio.current_task())
        try:
            far_reader, far_writer = await asyncio.open_connection(self._upstream.hostname, self._upstream.port)
        except OSError:
            writer.close()
            return
        self._writers |= {writer, far_writer}
        ways = [self._pump(reader, far_writer), self._pump(far_reader, writer)]
        await asyncio.gather(*ways, return_exceptions=True)
        self._writers -= {writer, far_writer}

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
