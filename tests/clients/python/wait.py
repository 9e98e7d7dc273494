"""Waiting for conditions, never for time."""

import asyncio
import time
from collections.abc import Callable
from typing import Any

DEADLINE = 30.0


async def until(what: str, condition: Callable[[], Any], state: Callable[[], Any] = lambda: "") -> Any:
    """Looks at `condition` until it holds and gives its value."""
    end = time.monotonic() + DEADLINE
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {DEADLINE} s: {what} {state()}")
        await asyncio.sleep(0.005)
    return value
