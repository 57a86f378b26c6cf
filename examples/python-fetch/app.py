"""Fetching pages, several at once: async handlers in Python."""

import asyncio
from dataclasses import dataclass

from windlass_guest import Context, HttpError, export, handler


@dataclass
class Pages:
    """What to fetch."""

    urls: list[str]
    at_once: int = 8


@dataclass
class Fetched:
    """What became of a page."""

    url: str
    status: int | None = None
    size: int = 0
    problem: str | None = None


@handler(queue="pages", max_attempts=3, timeout=300)
async def fetch(ctx: Context, args: Pages) -> list[Fetched]:
    """Fetches pages, several at once, and says how large each is."""
    places = asyncio.Semaphore(max(1, args.at_once))
    done = 0

    async def one(url: str) -> Fetched:
        nonlocal done
        async with places:
            try:
                response = await ctx.fetch(url)
                made = Fetched(url, response.status, len(response.body))
            except (HttpError, ValueError) as error:
                ctx.warn("not fetched", url=url, problem=str(error))
                made = Fetched(url, problem=str(error))
        done += 1
        ctx.progress(100 * done / len(args.urls), f"{done} pages")
        return made

    fetched = await asyncio.gather(*(one(url) for url in args.urls))
    ctx.info("fetched", pages=len(fetched), bytes=sum(page.size for page in fetched))
    return list(fetched)


@handler
async def first(ctx: Context, args: list[str]) -> str:
    """Gives the address that answers first with 200 to 299, and fails where all of them fail."""

    async def asked(url: str) -> str:
        (await ctx.fetch(url)).raise_for_status()
        return url

    problem = HttpError("there is no address to ask")
    for answer in asyncio.as_completed([asked(url) for url in args]):
        try:
            return await answer
        except HttpError as error:
            problem = error
    raise problem


@handler(max_attempts=1)
async def pause(ctx: Context, args: float) -> None:
    """Waits for as many seconds, without a thread."""
    await ctx.sleep(args)


AsyncHandlers = export("python-fetch", "0.1.0", fetch, first, pause)
