"""A D-Bus of its own for daemons that want the system's, and a client that is called as well as it calls."""

import os
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import which
from typing import Any

import pytest

SECONDS = 30.0  # for whatever is waited for; it comes in a fraction of one, on an idle machine
_CONFIGURATION = """<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
 "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig>
 <listen>unix:path={socket}</listen>
 <auth>EXTERNAL</auth>
 <policy context="default">
  <allow own="*"/><allow user="*"/><allow send_destination="*"/><allow receive_sender="*"/>
 </policy>
</busconfig>
"""


def program(name: str, package: str) -> str:
    """Where a daemon is. Without it: a skip, in CI a failure."""
    found = which(name, path=f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin")
    if found is None:
        reason = f"{name} is not there: run tools/setup-system, or: apt-get install {package}"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@contextmanager
def running(*command: str, log: Path, **environment: str) -> Iterator[subprocess.Popen[bytes]]:
    """A daemon while it is needed; what it says goes into a file."""
    with log.open("wb") as said:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env={**os.environ, **environment}
        )
    with process:
        try:
            yield process
        finally:
            process.terminate()
            try:
                process.wait(SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()


@contextmanager
def private_bus(folder: Path) -> Iterator[str]:
    """The address of a bus that nobody else is on."""
    daemon = program("dbus-daemon", "dbus-daemon")
    configuration = folder / "bus.conf"
    configuration.write_text(_CONFIGURATION.format(socket=folder / "bus"))
    command = (daemon, f"--config-file={configuration}", "--nofork", "--nopidfile", "--print-address=1")
    with running(*command, log=folder / "bus.log") as process:
        assert process.stdout is not None
        address = process.stdout.readline().decode().strip()
        assert address, (folder / "bus.log").read_text()
        yield address


class Refused(Exception):  # noqa: N818 - what the other side did
    """A call was answered with an error: its name, and what else is said."""


class Peer:
    """A connection to a bus. `serve` has functions for methods that others call here, and `called` what was called.

    A function answers a signature and a body, or raises Refused with an error's name.
    """

    def __init__(self, address: str) -> None:
        from jeepney.io.blocking import open_dbus_connection

        self._connection = open_dbus_connection(address, auth_timeout=SECONDS)
        self.serve: dict[str, Callable[..., tuple[str, tuple[object, ...]]]] = {}
        self.called: list[tuple[str, tuple[Any, ...]]] = []
        self.call("org.freedesktop.DBus", "/", "org.freedesktop.DBus", "AddMatch", "s", "type='signal'")

    def close(self) -> None:
        self._connection.close()

    def call(self, service: str, path: str, interface: str, method: str, signature: str = "", *body: object) -> Any:
        """Call a method and answer what it answers: one value, or a tuple of several; Refused for an error."""
        from jeepney import DBusAddress, HeaderFields, MessageType, new_method_call

        serial = next(self._connection.outgoing_serial)
        where = DBusAddress(path, service, interface)
        self._connection.send(new_method_call(where, method, signature or None, body), serial=serial)
        deadline = time.monotonic() + SECONDS
        while True:
            message = self._receive(deadline)
            if message.header.fields.get(HeaderFields.reply_serial) == serial:
                break
        if message.header.message_type is MessageType.error:
            raise Refused(message.header.fields[HeaderFields.error_name], message.body)
        return message.body[0] if len(message.body) == 1 else message.body

    def until(self, condition: Callable[[], Any]) -> Any:
        """Wait until something holds, which is looked at with every message that comes; answers what it is."""
        deadline = time.monotonic() + SECONDS
        while not (found := _tried(condition)):
            self._receive(deadline)
        return found

    def _receive(self, deadline: float) -> Any:
        from jeepney import HeaderFields, MessageType, new_error, new_method_return

        message = self._connection.receive(timeout=max(0.0, deadline - time.monotonic()))
        if message.header.message_type is MessageType.method_call:
            method = message.header.fields[HeaderFields.member]
            self.called.append((method, message.body))
            try:
                signature, body = self.serve[method](*message.body)
            except Refused as error:
                self._connection.send(new_error(message, str(error)))
            else:
                self._connection.send(new_method_return(message, signature or None, body))
        return message


def _tried(condition: Callable[[], Any]) -> Any:
    """What holds, nothing where it cannot be asked for yet."""
    try:
        return condition()
    except Refused:
        return None


@contextmanager
def peer_on(address: str) -> Iterator[Peer]:
    """A connection while it is needed."""
    with ExitStack() as stack:
        peer = Peer(address)
        stack.callback(peer.close)
        yield peer
