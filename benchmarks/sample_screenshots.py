"""Pictures of every page in both modes for the documentation; ``make screenshots``.

    python benchmarks/sample_screenshots.py docs/images [--store FILE]

Without a store the sample store is shown: real pages, numbers made by a formula.
"""

from __future__ import annotations

import argparse
import io
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright
from sample_server import FLAGS, VIEWS, chromium, served
from sample_store import build
from sample_window import settle

MOST_BYTES = 200_000
WINDOW = {"width": 1280, "height": 960}
SHOWN = ":is(svg, canvas).marks, [data-testid=stDataFrame] canvas"
PICTURES = "[...document.images].every(x => x.complete || x.loading === 'lazy')"
COLOURS = (256, 128, 64, 32)
"""So many colours are tried until the file is small enough."""


def shoot(browser: Browser, address: str, out: Path) -> list[Path]:
    """Every page in both modes.

    Args:
        browser: Chromium.
        address: of the dashboard.
        out: the folder; files are named ``PAGE-MODE.png``.

    Returns:
        The files.
    """
    files = []
    for scheme in ("light", "dark"):
        context = browser.new_context(viewport=WINDOW, color_scheme=scheme)  # type: ignore[arg-type]
        page = context.new_page()
        for view in VIEWS:
            page.goto(f"{address}/{view if view != VIEWS[0] else ''}")
            if view != "report":  # the first page of all loads what draws charts
                page.locator(SHOWN).first.wait_for(state="attached")
            settle(page)
            page.wait_for_timeout(1000)  # charts fade in
            page.wait_for_function(f"() => {PICTURES}")
            file = out / f"{view}-{scheme}.png"
            file.write_bytes(small(page.screenshot()))
            files.append(file)
        context.close()
    return files


def small(png: bytes) -> bytes:
    """The picture with as many colours as fit into ``MOST_BYTES``."""
    picture = Image.open(io.BytesIO(png)).convert("RGB")
    for colours in COLOURS:
        file = io.BytesIO()
        picture.quantize(colours, dither=Image.Dither.NONE).save(file, "PNG", optimize=True)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()


def main(argv: list[str] | None = None) -> int:
    """Draw the pictures from the command line."""
    parser = argparse.ArgumentParser(description="Pictures of every page for the documentation.")
    parser.add_argument("out", type=Path, help="folder of the pictures")
    parser.add_argument("--store", type=Path, help="the store to show (default: a sample store)")
    chosen = parser.parse_args(argv)
    executable = chromium()
    if executable is None:
        print("error: no Chromium on the PATH; install chromium", file=sys.stderr)
        return 2
    chosen.out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        store = chosen.store or build(Path(folder) / "store.db")
        browser = playwright.chromium.launch(executable_path=executable, args=FLAGS)
        with served(store) as (address, _):
            files = shoot(browser, address, chosen.out)
        browser.close()
    large = [file for file in files if file.stat().st_size > MOST_BYTES]
    for file in large:
        print(f"error: {file} has more than {MOST_BYTES:,} bytes", file=sys.stderr)
    print(f"{len(files)} pictures in {chosen.out}")
    return 1 if large else 0


if __name__ == "__main__":
    sys.exit(main())
