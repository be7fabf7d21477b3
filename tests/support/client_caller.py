"""Calls of the sync client and of the async one in the same words."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from tests.support.fake_service import TOKEN

from splitjob_client import AsyncClient, Client, Credentials, RetryPolicy

QUICK = RetryPolicy(attempts=3, first_pause_seconds=0.001)
SONG: dict[str, Any] = {
    "version_id": "song-42",
    "audio_url": "https://example.com/song.wav?secret=1",
    "ai_model": "demo",
    "webhook": "https://hooks.example.com/stems",
}


@dataclass
class Caller:
    """Calls either client, and waits for what it gives."""

    kind: type[Client] | type[AsyncClient]

    def ask(
        self,
        url: str,
        method: str,
        *words: Any,
        first: int | None = None,
        credentials: Credentials | str = TOKEN,
        **fields: Any,
    ) -> Any:
        """Return what a method gives; of an iterator, the first so many things it gives."""
        if self.kind is Client:
            with Client(url, credentials, retry=QUICK) as client:
                given = getattr(client, method)(*words, **fields)
                return list(islice(given, first)) if isinstance(given, Iterator) else given
        return asyncio.run(self._ask(url, method, words, fields, first, credentials))

    async def _ask(
        self,
        url: str,
        method: str,
        words: Any,
        fields: Any,
        first: int | None,
        credentials: Credentials | str,
    ) -> Any:
        async with AsyncClient(url, credentials, retry=QUICK) as client:
            given = getattr(client, method)(*words, **fields)
            if not isinstance(given, AsyncIterator):
                return await given
            found: list[Any] = []
            async for one in given:
                found.append(one)
                if len(found) == first:
                    break
            return found
