"""What the browser tests and the screenshots share: Chromium, driven by Playwright, and a card with a gallery."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from helpers import MNEMONIC

from bsim.chains.asset import Asset, Standard
from bsim.client import Wallet
from bsim.links.web import WebServer
from bsim.links.web.hosted import Hosted
from bsim.links.web.rack import scripted

if TYPE_CHECKING:
    from playwright.sync_api import Browser

CHROMIUM: Final = shutil.which("chromium") or shutil.which("chromium-browser") or ""
_FLAGS: Final = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"),
    *("--disable-background-networking", "--disable-component-update"),
)
_PICTURE: Final = (
    "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 8 8'%3E%3Crect width='8' height='8' "
    "fill='%23{ground}'/%3E%3Cpath d='M0 8 4 2l4 6z' fill='%23{peak}'/%3E%3C/svg%3E"
)
_NAMES: Final = ("Harbour at dawn", "Ink lotus", "Stone garden", "Night train", "Paper crane", "Tide pool", "Red kite")


@contextmanager
def chromium() -> Iterator["Browser"]:
    """Start the browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=list(_FLAGS))
        try:
            yield browser
        finally:
            browser.close()


def gallery_card(server: WebServer, assets: int = 200, *, name: str = "Gallery") -> Hosted:
    """The test card with keys and collectibles, some with pictures; its dialogues wait for the page."""
    card = server.rack.make(mnemonic=MNEMONIC, name=name)
    card.user.follow(scripted("right"))
    wallet = Wallet(card.base, wait=0)
    for coin in (60, 503, 60):
        wallet.derive(coin)
    wallet.verify_bpin()
    for number in range(1, assets + 1):
        wallet.add_asset(_asset(number))
    card.user.follow(None)
    card.reset()
    card.log.clear()
    return card


def _asset(number: int) -> Asset:
    media = {0: _PICTURE.format(ground="24505a", peak="e8b04a"), 1: _PICTURE.format(ground="7a3b3f", peak="f2d9b8")}
    title = f"{_NAMES[number % len(_NAMES)]} #{number}"
    return Asset(
        slot=1,
        family=1,
        chain_id=b"\x01",
        contract=bytes.fromhex("BC4CA0EDA7647A8AB7C2061C2E118A18A936F13D"),
        token_id=number.to_bytes(32, "big"),
        standard=Standard.ERC721,
        name=title,
        media=media.get(number % 5, f"ipfs://bafy{number}" if number % 2 else ""),
        acquired_at=1_700_000_000 + number,
    )
