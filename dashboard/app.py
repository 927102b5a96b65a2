"""The dashboard's entry: the application that Streamlit serves, and what it prepares as it starts.

streamlit run dashboard/app.py [-- --store FILE]
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from threading import Thread

import streamlit as st

from dashboard.ahead import import_first


@asynccontextmanager
async def starting(_app: st.App) -> AsyncIterator[None]:
    """Import what the first page needs while the first browser still loads its own part."""
    Thread(target=import_first, daemon=True).start()
    yield


app = st.App(Path(__file__).with_name("window.py"), lifespan=starting)
