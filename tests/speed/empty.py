"""A minimal aiohttp server: `python -m tests.speed.empty` prints its URL and serves until it is stopped."""
# ruff: noqa: T201 its output is what it is for

import asyncio

from aiohttp import web


async def answer(_: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def main() -> None:
    """Serve."""
    app = web.Application()
    app.router.add_get("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    print(f"http://{host}:{port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main())
