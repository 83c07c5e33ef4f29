"""The wallet's menu, for a phone without any app: change the BPIN, look at addresses and at assets. It grants nothing.

What it shows, EXPORT PUBKEYS and LIST ASSETS answer without a BPIN as well.
"""

from collections.abc import Callable, Iterator
from enum import IntEnum
from functools import partial
from typing import TYPE_CHECKING, Final

from bsim import chains
from bsim.applets import bpin
from bsim.applets.confirm import page, paginate
from bsim.applets.proactive import (
    HIGH_PRIORITY,
    WAIT_FOR_USER,
    CommandType,
    ProactiveCommand,
    Result,
    TerminalResponse,
    encode_alpha,
)
from bsim.applets.session import Platform
from bsim.applets.wallet_session import WalletApplet, WalletSession
from bsim.applets.wallet_state import Slot
from bsim.chains import asset_stream
from bsim.spec import spec
from bsim.sw import SW, SwError

if TYPE_CHECKING:
    from bsim.chains.asset import Asset

_TEXT: Final = spec().applets["wallet"].dialogue
_MOST: Final = 200  # bytes of a page's items: with the title it fits a proactive command. ETSI TS 102 223 6.6.8
_MORE: Final = 0xFF
_MOST_ITEMS: Final = 20
_LABEL: Final = 24  # characters of an item; what is behind it is shown in full when it is chosen

Entry = tuple[str, Callable[[], str]]
"""What a list shows of a thing, and what is told of it when it is chosen."""


class Item(IntEnum):
    """The items of the menu."""

    CHANGE_BPIN = 1
    ACCOUNTS = 2
    ASSETS = 3


class WalletMenu:
    """The menu of one card's wallet."""

    __slots__ = ("_wallet",)

    def __init__(self, wallet: WalletApplet) -> None:
        self._wallet: Final = wallet

    def set_up(self) -> ProactiveCommand | None:
        """Answer the SET UP MENU; None once the wallet is out of use."""
        if self._wallet.cell.value.terminated or not self._wallet.selectable:
            return None
        items = tuple((item.value, _TEXT[f"menu_{item.name.lower()}"]) for item in Item)
        return ProactiveCommand(CommandType.SET_UP_MENU, 0, _TEXT["menu"], items=items)

    def chosen(self, card: Platform, item: int) -> None:
        """Do what an item is for; SwError 6A80 for another, 6983 where the BPIN is blocked."""
        if self.set_up() is None or item not in set(Item):
            raise SwError(SW.WRONG_DATA, "the menu has no such item")
        session = self._wallet.session(card, 0)
        if item == Item.CHANGE_BPIN:
            _change_bpin(session)
        elif item == Item.ACCOUNTS:
            _Listing(session, _TEXT["menu_accounts"], list(_accounts(session)), _TEXT["no_accounts"]).show(0)
        else:
            _Listing(session, _TEXT["menu_assets"], list(_assets(session)), _TEXT["no_assets"]).show(0)


def _change_bpin(session: WalletSession) -> None:
    if session.state.blocked:
        _tell(session, [_TEXT["bpin_blocked"]], lambda: None)
    else:
        bpin.update(session)


def _accounts(session: WalletSession) -> Iterator[Entry]:
    for number, slot in enumerate(session.state.slots, 1):
        yield f"{number} {chains.coin_name(slot.coin_type)}", partial(_account, number, slot)


def _account(number: int, slot: Slot) -> str:
    found = chains.address(slot.coin_type, slot.algorithm, slot.public_key)
    return page(f"{number} {chains.coin_name(slot.coin_type)}", [(_TEXT["address"], found or _TEXT["no_address"])])


def _assets(session: WalletSession) -> Iterator[Entry]:
    from bsim.chains import asset as assets  # noqa: PLC0415 - few phones look at the menu, and all cards have one

    for block in session.registry.stream(None):
        for encoded in asset_stream.split(block).values():
            asset = assets.parse(encoded)
            yield asset.name or f"#{asset.number}", partial(_asset, asset)


def _asset(asset: "Asset") -> str:
    lines = [(_TEXT["asset_slot"], str(asset.slot)), (_TEXT["asset_token"], f"{int.from_bytes(asset.token_id, 'big')}")]
    lines += [(_TEXT["asset_issuer"], asset.issuer)] if asset.issuer else []
    return page(asset.name or f"#{asset.number}", [*lines, (_TEXT["asset_amount"], str(asset.amount))])


class _Listing:
    """A list on the phone, page by page; what is chosen is shown, and then the page it stood on."""

    def __init__(self, session: WalletSession, title: str, entries: list[Entry], nothing: str) -> None:
        self._session: Final = session
        self._title: Final = title
        self._entries: Final = entries
        self._nothing: Final = nothing

    def show(self, first: int) -> None:
        """Show the page that begins at an entry."""
        if not self._entries:
            _tell(self._session, [self._nothing], lambda: None)
            return
        items = self._page(first)
        end = first + len(items)
        if end < len(self._entries):
            items = (*items, (_MORE, _TEXT["more"]))
        command = ProactiveCommand(CommandType.SELECT_ITEM, 0, self._title, items=items)
        self._session.card.toolkit.ask(command, partial(self._selected, first, end))

    def _selected(self, first: int, end: int, response: TerminalResponse) -> None:
        if response.result == Result.BACKWARD_MOVE and first:
            self.show(0)
        elif response.performed and response.item == _MORE and end < len(self._entries):
            self.show(end)
        elif response.performed and response.item is not None and first < first + response.item <= end:
            told = self._entries[first + response.item - 1][1]()
            _tell(self._session, list(paginate(told)), partial(self.show, first))

    def _page(self, first: int) -> tuple[tuple[int, str], ...]:
        items: list[tuple[int, str]] = []
        size = 0
        for at, (label, _) in enumerate(self._entries[first : first + _MOST_ITEMS], 1):
            short = label if len(label) <= _LABEL else label[: _LABEL - 3] + "..."
            size += 3 + len(encode_alpha(short))
            if size > _MOST:
                break
            items.append((at, short))
        return tuple(items)


def _tell(session: WalletSession, pages: list[str], then: Callable[[], None]) -> None:
    """Show texts one after the other, and go on when the last was seen."""

    def seen(response: TerminalResponse) -> None:
        if not response.performed:
            return
        if pages[1:]:
            _tell(session, pages[1:], then)
        else:
            then()

    command = ProactiveCommand(CommandType.DISPLAY_TEXT, HIGH_PRIORITY | WAIT_FOR_USER, pages[0])
    session.card.toolkit.ask(command, seen)
