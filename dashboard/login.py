"""Who may see the dashboard: everybody who reaches it, or, with secrets, who signs in and is on the list.

Streamlit's own sign-in (OpenID Connect) is switched on by ``[auth]`` in ``.streamlit/secrets.toml``, and
``[access] domains`` there lists the e-mail domains that are let in; see docs/user-guide.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import streamlit as st
from streamlit.errors import StreamlitSecretNotFoundError

from dashboard import texts
from dashboard.components.text import quiet
from dashboard.format import plain

WORDS = texts.LOGIN
NO_SECRETS = "no-secrets-found"
"""How Streamlit says that there is no file of secrets. A broken one must not open the door."""


def admitted() -> bool:
    """Whether the reader may see pages; draws the sign-in, or why not, where they may not."""
    secrets = _secrets()
    if "auth" not in secrets:
        return True
    claims: dict[str, Any] = st.user.to_dict()
    if not claims.get("is_logged_in"):
        st.title(WORDS["sign_in"], anchor=False)
        st.markdown(plain(WORDS["sign_in_text"]))
        st.button(WORDS["sign_in"], on_click=st.login, icon=":material/login:", type="primary")
        return False
    reason = refusal(claims, secrets.get("access", {}).get("domains", []))
    if reason:
        st.title(WORDS["refused"], anchor=False)
        st.markdown(plain(WORDS[reason].format(email=claims.get("email", ""))))
        st.button(WORDS["sign_out"], on_click=st.logout)
        return False
    with st.sidebar:
        quiet(WORDS["signed_in"].format(email=claims.get("email", "")))
        st.button(WORDS["sign_out"], on_click=st.logout, type="tertiary")
    return True


def refusal(claims: Mapping[str, Any], domains: Sequence[str]) -> str:
    """Why somebody who signed in is not let in.

    Args:
        claims: what the identity provider says of them.
        domains: e-mail domains that are let in; a domain does not stand for those below it.

    Returns:
        ``no_domains``, ``unverified``, ``elsewhere``, or empty where they are let in.
    """
    if isinstance(domains, str) or not domains:
        return "no_domains"
    # A provider may leave the claim out; one that says no has not checked who owns the address.
    if str(claims.get("email_verified", True)).lower() != "true":
        return "unverified"
    name, at, domain = str(claims.get("email", "")).rpartition("@")
    known = {str(one).strip().lstrip("@").casefold() for one in domains}
    return "" if name and at and domain.casefold() in known else "elsewhere"


def _secrets() -> Mapping[str, Any]:
    try:
        return st.secrets.to_dict()
    except StreamlitSecretNotFoundError as error:
        if getattr(error, "error_id", "") == NO_SECRETS:
            return {}
        raise
