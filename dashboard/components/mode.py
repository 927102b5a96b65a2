"""Charts follow the system from light to dark: Streamlit repaints its own parts, not a chart's colours."""

from __future__ import annotations

from functools import cache
from typing import Any

import streamlit as st

WATCH = """
export default function ({ setTriggerValue }) {
  const system = window.matchMedia("(prefers-color-scheme: dark)");
  const tell = () => window.setTimeout(() => setTriggerValue("changed", system.matches), 300);
  system.addEventListener("change", tell);
  return () => system.removeEventListener("change", tell);
}
"""
"""Tells the server, once the page itself has taken its new colours."""


def follow_system() -> None:
    """Draw the page again when the system changes between light and dark."""
    _watcher()(key="mode", on_changed_change=lambda: None, height=1)


@cache
def _watcher() -> Any:
    return st.components.v2.component("mode", js=WATCH)
