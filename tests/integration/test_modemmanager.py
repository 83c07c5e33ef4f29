"""ModemManager, the modem service of desktops and gateways, with this card in its modem, over D-Bus.

Its test interface takes an abstract socket for a modem's device.
"""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from helpers import ICCID
from modem_terminal import prepared
from private_bus import Peer, peer_on, private_bus, program, running

from bsim.links.modem import ModemLink
from bsim.links.modem_phone import Phone
from bsim.links.modem_wires import Listener

SERVICE, ROOT = "org.freedesktop.ModemManager1", "/org/freedesktop/ModemManager1"
BUS = "org.freedesktop.DBus"
OPTIONS = ("--test-enable", "--test-no-udev", "--no-auto-scan", "--test-no-suspend-resume", "--test-no-qrtr")


def _listener() -> socket.socket:
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(f"\0abstract:bsim{os.getpid()}")
    listening.listen()
    return listening


class Manager:
    """ModemManager, and the one modem it knows."""

    def __init__(self, peer: Peer) -> None:
        self.peer = peer
        self.path = "/"

    def objects(self) -> dict[str, dict[str, Any]]:
        return self.peer.call(SERVICE, ROOT, f"{BUS}.ObjectManager", "GetManagedObjects")  # type: ignore[no-any-return]

    def found(self) -> bool:
        """Whether there is a modem with a SIM in it."""
        for path, interfaces in self.objects().items():
            if interfaces.get(f"{SERVICE}.Modem", {}).get("Sim", ("o", "/"))[1] != "/":
                self.path = path
        return self.path != "/"

    def properties(self, interface: str, path: str | None = None) -> dict[str, Any]:
        told = self.peer.call(SERVICE, path or self.path, f"{BUS}.Properties", "GetAll", "s", f"{SERVICE}.{interface}")
        return {name: value for name, (_, value) in told.items()}


@pytest.fixture(scope="module")
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    """ModemManager, once it shows the SIM."""
    daemon = program("ModemManager", "modemmanager")
    folder = tmp_path_factory.mktemp("modemmanager")
    with ExitStack() as stack:
        link = stack.enter_context(ModemLink(Phone.around(prepared()), Listener(_listener())))
        address = stack.enter_context(private_bus(folder))
        peer = stack.enter_context(peer_on(address))
        log = folder / "modemmanager.log"
        stack.enter_context(running(daemon, "--debug", *OPTIONS, log=log, DBUS_SYSTEM_BUS_ADDRESS=address))
        peer.until(lambda: SERVICE in peer.call(BUS, "/", BUS, "ListNames"))
        device = link.place.removeprefix("\0")
        peer.call(SERVICE, ROOT, f"{SERVICE}.Test", "SetProfile", "ssas", "bsim", "generic", [device])
        managed = Manager(peer)
        peer.until(managed.found)
        yield managed


def test_the_sim_object_is_shown(manager: Manager) -> None:
    modem = manager.properties("Modem")
    sim = manager.properties("Sim", modem["Sim"])
    assert (sim["SimIdentifier"], sim["Imsi"]) == (ICCID, "001012108889997")
    assert (sim["OperatorIdentifier"], sim["OperatorName"]) == ("00101", "BSIM")
    assert sim["Active"] is True
    # MMModemLock: SIM-PIN, SIM-PIN2, SIM-PUK, SIM-PUK2.
    assert modem["UnlockRetries"] == {2: 3, 3: 3, 4: 10, 5: 10}
    assert (modem["Manufacturer"], modem["Model"]) == ("BSIM", "virtual modem")
