"""Pictures of the page: a demo for some minutes in each situation. `python -m tests.endtoend.pictures FOLDER`."""

import asyncio
import sys
import tempfile
from pathlib import Path

from PIL import Image

from tests.support.browser import Tab, browser
from tests.support.demo import SEEN, choose, healthy, says, started

WAYS = ((1280, False), (1280, True), (360, False))
LIVED_SECONDS = 150
"""So that there is something to see in the plots."""

PICTURES = {
    "late": ("cache-behind", SEEN["cache-behind"]),
    "forced-close": ("forced-close", SEEN["forced-close"]),
    "unknown": ("relist", says("It is not certain since .* whether")),
}


async def draw(tab: Tab, folder: Path, name: str) -> None:
    """One situation in each way of looking at it, at the top of the page."""
    for width, dark in WAYS:
        await tab.look(width, 760 if width > 500 else 900, dark=dark)
        await asyncio.sleep(1)
        png = folder / "page.png"
        await tab.picture(png, whole=False)
        kind = f"{'-narrow' if width < 500 else ''}{'-dark' if dark else ''}"
        with Image.open(png) as picture:
            picture.save(folder / f"page-{name}{kind}.webp", quality=85, method=6)
        png.unlink()


async def main(folder: Path) -> None:
    """All of them."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile, started("60") as demo:
        async with browser(Path(profile)) as tab:
            await tab.look()
            await healthy(tab, demo)
            await asyncio.sleep(LIVED_SECONDS)
            await draw(tab, folder, "healthy")
            for name, (scenario, seen) in PICTURES.items():
                await choose(tab, scenario)
                await tab.until(seen, 250)
                await asyncio.sleep(10)
                await tab.until(seen, 60)  # it comes and goes
                await draw(tab, folder, name)
                await choose(tab, "healthy")
                await tab.until(SEEN["healthy"], 200)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1])))
