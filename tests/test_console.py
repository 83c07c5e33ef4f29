"""The console in headless Chromium: a card, its phone, its gallery and its trace, as a visitor sees them."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from browser import CHROMIUM, chromium, gallery_card
from web_client import DERIVE, SELECT, SIGN, VERIFY, Client

from bsim.links.web import Limits, WebServer

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Page

pytest.importorskip("wsproto")
pytest.importorskip("playwright.sync_api")
pytestmark = pytest.mark.browser

AXE = Path(__file__).parent / "integration" / "node" / "node_modules" / "axe-core" / "axe.min.js"
LINES = 10_000


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    if not CHROMIUM:
        if os.environ.get("CI") == "true":
            pytest.fail("Chromium is missing: tools/setup-system")
        pytest.skip("Chromium is missing: tools/setup-system")
    with chromium() as browser:
        yield browser


@pytest.fixture
def server() -> Iterator[WebServer]:
    with WebServer(limits=Limits(approval_seconds=20)) as server:
        yield server


def _is_wrong(message: "ConsoleMessage") -> bool:
    # A card that is taken out between two questions of the page is told by 409, which Chromium tells as an error.
    return message.type in {"error", "warning"} and "409 (Conflict)" not in message.text


@pytest.fixture
def page(browser: "Browser", server: WebServer) -> Iterator["Page"]:
    """A page whose console stays empty: what it says there, or what the policy blocks, fails the test."""
    page = browser.new_page(viewport={"width": 1280, "height": 860})
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text) if _is_wrong(message) else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.set_default_timeout(8_000)
    yield page
    page.close()
    assert said == []


def visit(page: "Page", server: WebServer) -> None:
    page.goto(server.url)
    page.get_by_text("live", exact=True).wait_for()


def type_bpin(page: "Page", digits: str) -> None:
    keypad = page.get_by_role("group", name="Keypad")
    for digit in digits:
        keypad.get_by_role("button", name=digit, exact=True).click()
    keypad.get_by_role("button", name="OK").click()


def read_through(page: "Page") -> None:
    """Turn pages until the last, which wants a decision."""
    confirm = page.get_by_role("button", name="Confirm")
    onward = page.get_by_role("button", name="Next")
    while True:
        confirm.or_(onward).wait_for()
        if confirm.count():
            return
        before = page.locator("#screen").inner_text()
        onward.click()
        page.wait_for_function("before => document.getElementById('screen').innerText !== before", arg=before)


def test_a_visitor_makes_a_card_and_an_app_signs_with_it(page: "Page", server: WebServer) -> None:
    page.goto(server.url)
    page.get_by_text("no card yet").wait_for()
    page.get_by_role("button", name="New card").click()
    page.get_by_role("textbox", name="Name", exact=True).fill("my first card")
    page.get_by_role("button", name="Make it").click()
    page.get_by_text("live", exact=True).wait_for()

    page.get_by_role("button", name="Change the BPIN").click()
    for heading, digits in (("Enter BPIN", "123456"), ("New BPIN", "246810"), ("Repeat", "246810")):
        page.locator("#screen h3", has_text=heading).wait_for()
        type_bpin(page, digits)
    page.locator("#screen h3", has_text="changed").wait_for()
    page.get_by_role("button", name="Next").click()

    app, card = Client(server.url), "/v1/cards/1"
    app.apdu(card, SELECT)
    app.apdu(card, DERIVE)
    app.apdu(card, VERIFY)
    assert app.apdu(card, SIGN) == "6982"
    page.locator("#screen h3", has_text="Enter BPIN").wait_for()
    page.locator("#phone").get_by_role("button", name="Cancel").focus()
    page.keyboard.type("246810")
    page.keyboard.press("Tab")
    page.get_by_role("button", name="OK").press("Enter")
    page.get_by_text("Nothing is asked").wait_for()
    assert app.apdu(card, SIGN).endswith("9000")
    page.locator(".row.done", has_text="SIGN").wait_for()
    page.locator(".row.refused", has_text="6982").wait_for()
    app.close()


def test_a_transaction_is_shown_confirmed_and_denied(page: "Page", server: WebServer) -> None:
    gallery_card(server, 0)
    visit(page, server)
    page.get_by_role("button", name="Sign a transaction").click()
    page.locator("#screen h3", has_text="Enter BPIN").wait_for()
    type_bpin(page, "123456")
    page.locator("#screen h3", has_text="Send 0.15 ETH").wait_for()
    assert "0xd8dA6BF26964aF9D7eEd9e03E53415D37aA96045" in page.locator("#screen").inner_text()
    read_through(page)
    page.get_by_role("button", name="Confirm").click()
    page.locator("#outcome code", has_text="0x02").wait_for()
    page.locator(".row.done", has_text="SIGN_TRANSACTION").wait_for()

    page.get_by_role("button", name="Sign a transaction").click()
    read_through(page)
    page.get_by_role("button", name="Deny").click()
    page.locator("#outcome", has_text="rejected").wait_for()


def test_a_phone_that_nobody_answers_gives_up(page: "Page") -> None:
    with WebServer(limits=Limits(approval_seconds=0.5)) as server:
        gallery_card(server, 0)
        visit(page, server)
        page.get_by_role("button", name="Verify the BPIN").click()
        page.locator(".row", has_text="no response from user").wait_for()
        page.get_by_text("Nothing is asked").wait_for()
        page.goto("about:blank")


def test_the_gallery_shows_all_and_fetches_nothing(page: "Page", server: WebServer) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    gallery_card(server, 200)
    visit(page, server)
    page.get_by_role("tab", name="Gallery").click()
    page.locator(".asset").nth(199).wait_for(state="attached")
    assert page.locator(".asset").count() == 200
    assert page.locator(".asset img").count() == 80
    assert [url for url in asked if not url.startswith((server.url, "data:", server.url.replace("http", "ws")))] == []


def test_ten_thousand_lines(page: "Page", server: WebServer) -> None:
    card = gallery_card(server, 0)
    for _ in range(LINES):
        card.card.transmit(bytes.fromhex("80D0000000"))
    visit(page, server)
    page.locator("#shown", has_text="10,000 lines").wait_for()
    assert page.locator(".row").count() < 100
    page.get_by_label("Search the trace").fill("export")
    page.locator("#shown", has_text="0 lines").wait_for()
    page.get_by_label("Search the trace").fill("")
    page.get_by_role("button", name="Pause").click()
    card.card.transmit(bytes.fromhex(SELECT))
    page.locator("#shown", has_text="1 held back").wait_for()
    page.get_by_role("button", name="Go on").click()
    page.locator("#lines").focus()
    page.keyboard.press("End")
    page.locator("#detail", has_text="SELECT").wait_for()
    with page.expect_download() as download:
        page.get_by_role("button", name="Export").click()
    assert download.value.suggested_filename == "bsim-card-1.ndjson"


def test_a_token_is_taken_from_the_address(browser: "Browser") -> None:
    token = "a-token-of-sixteen"
    with WebServer(token=token) as server:
        gallery_card(server, 0)
        page = browser.new_page()
        page.set_default_timeout(8_000)
        page.goto(server.url)
        page.get_by_text("wants a token").wait_for()
        page.goto(f"{server.url}/#token={token}")
        page.reload()
        page.get_by_text("live", exact=True).wait_for()
        assert token not in page.url
        page.close()


def test_faults_snapshots_and_apdus(page: "Page", server: WebServer) -> None:
    gallery_card(server, 0)
    visit(page, server)
    page.get_by_role("tab", name="APDUs").click()
    page.get_by_role("button", name="Send", exact=True).click()
    page.locator("#answers code", has_text="00519000").wait_for()
    page.get_by_role("tab", name="Snapshots").click()
    page.get_by_label("Name of the snapshot").fill("before")
    page.get_by_role("button", name="Keep").click()
    page.get_by_role("button", name="Restore before").click()
    page.get_by_role("tab", name="Faults").click()
    page.get_by_role("button", name="Vanish at the next command").click()
    page.locator("#faults code", has_text="remove-card").wait_for()
    page.get_by_role("button", name="Remove the fault").click()
    page.get_by_text("The card behaves.").wait_for()
    page.get_by_role("button", name="Take out").click()
    page.locator("#facts", has_text="out of its reader").wait_for()
    page.get_by_role("button", name="Put in").click()
    page.locator("#facts", has_text="personalised").wait_for()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (390, "dark")])
def test_everybody_can_use_it(browser: "Browser", server: WebServer, scheme: str, width: int) -> None:
    """axe-core finds nothing serious, whatever is on the screen."""
    if not AXE.exists():
        pytest.skip("axe-core is missing: npm install in tests/integration/node")
    gallery_card(server, 12)
    page = browser.new_page(viewport={"width": width, "height": 844}, color_scheme=scheme, bypass_csp=True)  # type: ignore[arg-type]
    visit(page, server) if width > 800 else page.goto(server.url)
    page.add_script_tag(path=str(AXE))
    app = Client(server.url)
    app.apdu("/v1/cards/1", SELECT)
    assert _issues(page) == []
    app.apdu("/v1/cards/1", VERIFY)
    page.get_by_role("group", name="Keypad").wait_for()
    assert _issues(page) == []
    for name in ("App", "Keys", "Gallery", "Faults", "Snapshots", "APDUs"):
        if width < 800:
            page.get_by_role("navigation").get_by_role("button", name="Card").click()
        page.get_by_role("tab", name=name).click()
        assert _issues(page) == [], name
    if width < 800:
        page.get_by_role("navigation").get_by_role("button", name="Trace").click()
    page.locator(".row").last.click()
    assert _issues(page) == []
    page.get_by_role("button", name="New card").click()
    assert _issues(page) == []
    page.close()
    app.close()


def _issues(page: "Page") -> list[object]:
    found = page.evaluate("async () => (await axe.run()).violations")
    return [
        (one["id"], [node["html"][:120] for node in one["nodes"][:3]])
        for one in found
        if one["impact"] in {"serious", "critical"}
    ]
