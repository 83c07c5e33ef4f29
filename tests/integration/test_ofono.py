"""oFono, a phone's telephony service, with this card in its modem: files, toolkit and authentication, over D-Bus.

Its phonesim plugin reaches any modem over TCP. A second port of the same modem is a wallet's, which signs over +CGLA.
"""

import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from helpers import BPIN, DIGEST, ETHEREUM, ICCID, SECP256K1, apdu, public_key, signature
from modem_terminal import Terminal, prepared
from private_bus import SECONDS, Peer, Refused, peer_on, private_bus, program, running

from bsim import chains
from bsim.links.modem import ModemLink
from bsim.links.modem_phone import Phone
from bsim.links.modem_wires import Listener
from bsim.ports import Card

SERVICE, MODEM, AGENT = "org.ofono", "/phonesim", "/agent"
TERMINAL_RESPONSE = 0x14
VECTORS = Path(__file__).parents[1] / "vectors" / "milenage.json"


class Witness:
    """A card whose commands are seen, and waited for."""

    def __init__(self, card: Card) -> None:
        self.card = card
        self._seen: list[int] = []
        self._news = threading.Condition()

    def reset(self) -> bytes:
        return self.card.reset()

    def transmit(self, command: bytes) -> bytes:
        response = self.card.transmit(command)
        with self._news:
            self._seen.append(command[1])
            self._news.notify_all()
        return response

    def wait(self, ins: int, count: int) -> None:
        """Wait until an instruction was carried out so often."""
        with self._news:
            assert self._news.wait_for(lambda: self._seen.count(ins) >= count, SECONDS)

    def count(self, ins: int) -> int:
        with self._news:
            return self._seen.count(ins)


class Stack:
    """oFono with the card, a D-Bus client, and the wallet's own port of the modem."""

    def __init__(self, peer: Peer, card: Witness, wallet: Terminal) -> None:
        self.peer = peer
        self.card = card
        self.wallet = wallet
        for method in ("DisplayText", "Release", "Cancel"):
            peer.serve[method] = lambda *_: ("", ())

    def call(self, interface: str, method: str, signature: str = "", *body: object, path: str = MODEM) -> Any:
        return self.peer.call(SERVICE, path, f"org.ofono.{interface}", method, signature, *body)

    def properties(self, interface: str) -> dict[str, Any]:
        return {name: value for name, (_, value) in self.call(interface, "GetProperties").items()}

    def until(self, interface: str, name: str, wanted: Callable[[Any], object] = bool) -> Any:
        """Wait for a property."""

        def held() -> Any:
            value = self.properties(interface).get(name)
            return value if value is not None and wanted(value) else None

        return self.peer.until(held)

    def shown(self, *methods: str) -> list[tuple[Any, ...]]:
        """Wait until the agent was asked this, one after the other; what it was asked with."""
        self.peer.until(lambda: len(self._dialogues()) >= len(methods))
        dialogues = self._dialogues()
        self.peer.called.clear()
        assert [method for method, _ in dialogues] == list(methods)
        return [body for _, body in dialogues]

    def _dialogues(self) -> list[tuple[str, tuple[Any, ...]]]:
        return [(method, body) for method, body in self.peer.called if method not in {"Release", "Cancel"}]


def answering(*answers: tuple[str, tuple[object, ...]] | str) -> Callable[..., tuple[str, tuple[object, ...]]]:
    """A user who gives these answers in turn; a name is that of an error."""
    left = iter(answers)

    def answer(*_: object) -> tuple[str, tuple[object, ...]]:
        given = next(left)
        if isinstance(given, str):
            raise Refused(given)
        return given

    return answer


def terminal_at(place: str, stack: ExitStack) -> Terminal:
    """A terminal on a connection of its own."""
    host, port = place.rsplit(":", 1)
    connection = stack.enter_context(socket.create_connection((host, int(port)), SECONDS))

    def exchange(data: bytes) -> bytes:
        connection.sendall(data)
        answer = b""
        while not re.search(rb"\r\n(OK|ERROR|\+CME ERROR: \d+)\r\n", answer):
            more = connection.recv(65_536)
            assert more, "the modem hung up"
            answer += more
        return answer

    return Terminal(exchange)


@pytest.fixture(scope="module")
def ofono(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole stack, until oFono has the card's menu."""
    daemon = program("ofonod", "ofono")
    folder = tmp_path_factory.mktemp("ofono")
    with ExitStack() as stack:
        card = Witness(prepared())
        link = stack.enter_context(ModemLink(Phone.around(card), Listener.on(0)))
        address = stack.enter_context(private_bus(folder))
        peer = stack.enter_context(peer_on(address))
        host, port = link.place.split(":")
        configuration = folder / "phonesim.conf"
        configuration.write_text(f"[phonesim]\nAddress={host}\nPort={port}\n")
        environment = {"DBUS_SYSTEM_BUS_ADDRESS": address, "OFONO_PHONESIM_CONFIG": str(configuration)}
        log = folder / "ofono.log"
        stack.enter_context(running(daemon, "--nodetach", log=log, OFONO_AT_DEBUG="1", **environment))
        running_stack = Stack(peer, card, terminal_at(link.place, stack))
        peer.until(lambda: [path for path, _ in running_stack.call("Manager", "GetModems", path="/")] == [MODEM])
        running_stack.call("Modem", "SetProperty", "sv", "Powered", ("b", True))
        running_stack.until("SimToolkit", "MainMenu")
        yield running_stack


def test_the_sim_is_seen(ofono: Stack) -> None:
    sim = ofono.properties("SimManager")
    assert sim["Present"] is True
    assert sim["CardIdentifier"] == ICCID
    assert sim["SubscriberIdentity"] == "001012108889997"
    assert (sim["MobileCountryCode"], sim["MobileNetworkCode"]) == ("001", "01")
    assert sim["PinRequired"] == "none"
    assert sim["Retries"] == {"pin": 3, "pin2": 3, "puk": 10, "puk2": 10}


def test_the_provider_of_the_card_is_shown(ofono: Stack) -> None:
    ofono.call("Modem", "SetProperty", "sv", "Online", ("b", True))
    ofono.until("NetworkRegistration", "Status", lambda status: status == "registered")
    # EF.SPN asks for the network's name behind it. 3GPP TS 31.102 4.2.12.
    shown = "BSIM (001-01)"
    assert ofono.until("NetworkRegistration", "Name", lambda name: name == shown) == shown


def test_an_account_is_looked_up_in_the_menu(ofono: Stack) -> None:
    menu = ofono.properties("SimToolkit")
    assert menu["MainMenuTitle"] == "BSIM"
    titles = [title for title, _ in menu["MainMenu"]]
    assert titles == ["Change BPIN", "Accounts", "Assets"]
    ofono.peer.serve["RequestSelection"] = answering(("y", (0,)), f"{SERVICE}.Error.EndSession")
    before = ofono.card.count(TERMINAL_RESPONSE)
    ofono.call("SimToolkit", "SelectItem", "yo", titles.index("Accounts"), AGENT)
    choice, told, again = ofono.shown("RequestSelection", "DisplayText", "RequestSelection")
    assert (choice[0], [text for text, _ in choice[2]]) == ("Accounts", ["1 Ether"])
    assert chains.address(ETHEREUM, 1, public_key(ETHEREUM, 1, SECP256K1)) in told[0].replace("\n", "")
    assert again == choice
    ofono.card.wait(TERMINAL_RESPONSE, before + 3)


def test_the_user_of_ofono_types_the_bpin_and_the_wallet_signs(ofono: Stack) -> None:
    wallet, before = ofono.wallet, ofono.card.count(TERMINAL_RESPONSE)
    channel = wallet.open()
    signing = apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST)
    assert wallet.apdu(channel, signing) == b"\x69\x82"
    ofono.peer.serve["RequestDigits"] = answering(("s", (BPIN,)))
    ofono.call("SimToolkit", "RegisterAgent", "o", AGENT)
    assert wallet.apdu(channel, apdu("VERIFY_BPIN")) == b"\x90\0"
    ((_, _, _, least, most, hidden),) = ofono.shown("RequestDigits")
    assert (least, most, hidden) == (6, 6, True)
    ofono.card.wait(TERMINAL_RESPONSE, before + 1)
    assert wallet.apdu(channel, signing) == signature(ETHEREUM, 1) + b"\x90\0"
    assert wallet.told == []  # all of it was asked of oFono


def test_the_bpin_is_changed_in_the_menu(ofono: Stack) -> None:
    new = "246810"
    before = ofono.card.count(TERMINAL_RESPONSE)
    ofono.peer.serve["RequestDigits"] = answering(*(("s", (typed,)) for typed in (BPIN, new, new, new)))
    ofono.call("SimToolkit", "SelectItem", "yo", 0, AGENT)
    dialogues = ofono.shown("RequestDigits", "RequestDigits", "RequestDigits", "DisplayText")
    assert [body[-1] for body in dialogues[:3]] == [True, True, True]  # hidden
    ofono.card.wait(TERMINAL_RESPONSE, before + 4)
    channel = ofono.wallet.open()
    ofono.wallet.apdu(channel, apdu("VERIFY_BPIN"))
    ofono.shown("RequestDigits")
    ofono.card.wait(TERMINAL_RESPONSE, before + 5)
    signed = ofono.wallet.apdu(channel, apdu("SIGN", coin_type=ETHEREUM, slot=1, digest=DIGEST))
    assert signed == signature(ETHEREUM, 1) + b"\x90\0"


def test_umts_authentication(ofono: Stack) -> None:
    vector = json.loads(VECTORS.read_text())["vectors"][0]
    sqn, ak = bytes.fromhex(vector["sqn"]), bytes.fromhex(vector["f5"])
    masked = bytes(a ^ b for a, b in zip(sqn, ak, strict=True))
    autn = masked + bytes.fromhex(vector["amf"] + vector["f1"])
    applications = ofono.call("SimAuthentication", "GetApplications")
    usim = next(path for path, told in applications.items() if told["Type"][1] == "Umts")
    rand = bytes.fromhex(vector["rand"])
    keys = ofono.call("USimApplication", "UmtsAuthenticate", "ayay", rand, autn, path=usim)
    found = {name: bytes(value).hex() for name, value in keys.items()}
    assert {name: found[name] for name in ("RES", "CK", "IK")} == {
        "RES": vector["f2"],
        "CK": vector["f3"],
        "IK": vector["f4"],
    }
