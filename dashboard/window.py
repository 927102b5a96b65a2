"""What a window of the dashboard shows: the sign-in, the navigation and one page of the store."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import streamlit as st
from streamlit.navigation.page import StreamlitPage

from dashboard import texts
from dashboard.ahead import DRAWING
from dashboard.components import states
from dashboard.components.basket import remember
from dashboard.components.mode import follow_system
from dashboard.filters import sidebar
from dashboard.loaders import StoreError, StoreMissing, open_store, store_path
from dashboard.login import admitted
from dashboard.pages import PAGES, Entry, import_ahead

ICON = Path(__file__).parent / "icon.svg"
PRINT = Path(__file__).parent / "components" / "print.css"


def chosen_store() -> Path:
    """The store of the command line, else of the environment, else the default."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--store")
    return store_path(parser.parse_known_args(sys.argv[1:])[0].store)


def drawing(entry: Entry, path: Path) -> Callable[[], None]:
    """What draws a page, or says in words why there is nothing to draw."""

    def draw() -> None:
        remember(path)
        try:
            scope = sidebar(open_store(path))
            if scope is None:
                states.no_study(path)
            else:
                entry.show(scope)
        except StoreMissing:
            states.no_store(path)
        except StoreError as error:
            states.broken(error)

    return draw


def _page(
    entry: Entry, path: Path, *, address: str, visibility: Literal["visible", "hidden"] = "visible"
) -> StreamlitPage:
    return st.Page(
        drawing(entry, path),
        title=entry.words["title"],
        icon=f":material/{entry.icon}:",
        url_path=address,
        default=not address,
        visibility=visibility,
        help=entry.words["help"],
    )


def main() -> None:
    """Draw the page that the address names."""
    st.set_page_config(page_title=texts.APP, page_icon=str(ICON), layout="wide")
    st.html(PRINT)
    path = chosen_store()
    st.logo(str(ICON), size="large")
    if not admitted():
        return
    opening = PAGES[0]  # has the bare address, and its own, under which somebody may look for it
    pages = [_page(entry, path, address="" if entry is opening else entry.name) for entry in PAGES]
    page = st.navigation([*pages, _page(opening, path, address=opening.name, visibility="hidden")])
    with DRAWING.page():
        page.run()
    follow_system()
    import_ahead()


if __name__ == "__main__":
    main()
