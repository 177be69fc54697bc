import asyncio
import signal
import sys

import aiohttp


async def test_runs_as_a_process_of_its_own_until_interrupted() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "exporter.simulator", "--scenario", "healthy", stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(30):
            url = (await process.stdout.readline()).decode().strip()
            async with aiohttp.ClientSession(base_url=url) as session, session.get("/version") as response:
                assert response.status == 200
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 0
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
