"""Who is let in: everybody without secrets; with them those who signed in and whose e-mail is on the list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from dashboard import login

WINDOW = Path(login.__file__).with_name("window.py")
AUTH = {
    "redirect_uri": "http://localhost:8501/oauth2callback",
    "cookie_secret": "x" * 32,
    "client_id": "id",
    "client_secret": "secret",
    "server_metadata_url": "http://localhost/.well-known/openid-configuration",
}


@pytest.mark.parametrize(
    ("claims", "domains", "reason"),
    [
        ({"email": "ann@fruit.example", "email_verified": True}, ["fruit.example"], ""),
        ({"email": "Ann@FRUIT.example"}, [" @Fruit.Example "], ""),
        ({"email": "ann@fruit.example", "email_verified": False}, ["fruit.example"], "unverified"),
        ({"email": "ann@fruit.example", "email_verified": "false"}, ["fruit.example"], "unverified"),
        ({"email": "ann@mail.fruit.example"}, ["fruit.example"], "elsewhere"),
        ({"email": "ann@fruit.example.evil.example"}, ["fruit.example"], "elsewhere"),
        ({"email": "ann@fruit.example@evil.example"}, ["fruit.example"], "elsewhere"),
        ({"email": "fruit.example"}, ["fruit.example"], "elsewhere"),
        ({"email": "@fruit.example"}, ["fruit.example"], "elsewhere"),
        ({}, ["fruit.example"], "elsewhere"),
        ({"email": "ann@fruit.example"}, [], "no_domains"),
        ({"email": "ann@fruit.example"}, "fruit.example", "no_domains"),
    ],
)
def test_only_the_listed_domains_are_let_in(claims: dict, domains: list[str], reason: str) -> None:
    assert login.refusal(claims, domains) == reason


@pytest.fixture
def opened(
    monkeypatch: pytest.MonkeyPatch, full_store: Path, components_found_once: None
) -> Callable[..., AppTest]:
    """``opened(secrets, claims)``: the dashboard as somebody with these claims sees it."""

    def see(secrets: dict, claims: dict) -> AppTest:
        class User:
            @staticmethod
            def to_dict() -> dict:
                return claims

        monkeypatch.setenv("AVOCADO_STORE", str(full_store))
        monkeypatch.setattr(login.st, "user", User)
        monkeypatch.setattr("sys.argv", ["window.py"])
        app = AppTest.from_file(str(WINDOW), default_timeout=60)
        for name, value in secrets.items():
            app.secrets[name] = value
        return app.run()

    return see


def test_without_secrets_nobody_has_to_sign_in(opened) -> None:
    assert opened({}, {}).selectbox(key="dataset").value == "synthetic-hass"


def test_with_secrets_nothing_is_shown_before_the_sign_in(opened) -> None:
    app = opened({"auth": AUTH, "access": {"domains": ["fruit.example"]}}, {"is_logged_in": False})
    assert app.title[0].value == "Sign in" and len(app.button) == 1
    assert not app.selectbox and not app.get("vega_lite_chart")


@pytest.mark.parametrize("access", [{}, {"access": {"domains": ["other.example"]}}])
def test_who_is_not_on_the_list_sees_nothing(opened, access: dict) -> None:
    app = opened({"auth": AUTH, **access}, {"is_logged_in": True, "email": "ann@fruit.example"})
    assert app.title[0].value == "No access" and not app.selectbox
    assert [button.label for button in app.button] == ["Sign out"]


def test_who_is_on_the_list_sees_the_pages(opened) -> None:
    app = opened(
        {"auth": AUTH, "access": {"domains": ["fruit.example"]}},
        {"is_logged_in": True, "email": "ann@fruit.example", "email_verified": True},
    )
    assert app.selectbox(key="dataset").value == "synthetic-hass"
    assert "Sign out" in [button.label for button in app.button]


def test_secrets_that_cannot_be_read_open_no_door(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        @staticmethod
        def to_dict() -> dict:
            raise login.StreamlitSecretNotFoundError("no TOML", error_id="secrets-parse")

    monkeypatch.setattr(login.st, "secrets", Broken)
    with pytest.raises(login.StreamlitSecretNotFoundError):
        login.admitted()
