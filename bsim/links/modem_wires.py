"""Where a modem's terminals come from: connections to a listening socket, or a pseudo-terminal."""

import os
import socket
from pathlib import Path
from typing import Final, Self


class Listener:
    """A listening socket, of loopback as a rule; every connection is a port."""

    def __init__(self, listening: socket.socket) -> None:
        listening.setblocking(False)
        self._socket: Final = listening
        self.place = _place(listening.getsockname())

    @classmethod
    def on(cls, port: int, host: str = "127.0.0.1") -> Self:
        """Listen on a TCP port, 0 for any that is free; OSError if that cannot be."""
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        return cls(socket.create_server((host, port), family=family))

    def fileno(self) -> int:
        """The listening socket's descriptor."""
        return self._socket.fileno()

    def accept(self) -> socket.socket:
        """Accept a connection; OSError where it has gone meanwhile, or there is no room for it."""
        connection, _ = self._socket.accept()
        connection.setblocking(False)
        if connection.family != socket.AF_UNIX:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def close(self) -> None:
        """Listen no longer."""
        self._socket.close()


class PseudoTerminal:
    """A pseudo-terminal; programs open `place` as they open a modem's device. `link` is another name for it.

    FileExistsError where something has that name, unless it is a link to a pseudo-terminal, or to nothing.
    It is kept open on both sides, so that it stays raw, and nothing is echoed, whoever comes and goes.
    """

    def __init__(self, link: Path | None = None) -> None:
        import tty  # noqa: PLC0415 - not on every platform

        self._ours, self._theirs = os.openpty()
        tty.setraw(self._theirs)
        os.set_blocking(self._ours, False)
        self._link: Final = link
        self._device: Final = os.ttyname(self._theirs)
        self.place = str(link or self._device)
        if link is not None:
            try:
                if self._left_behind(link):
                    link.unlink()
                link.symlink_to(self._device)
            except OSError:
                self._hang_up()
                raise

    def fileno(self) -> int:
        """Our side."""
        return self._ours

    def close(self) -> None:
        """Take it away."""
        if self._link is not None and _target(self._link) == self._device:  # and not another's, who took the name
            self._link.unlink(missing_ok=True)
        self._hang_up()

    def _left_behind(self, link: Path) -> bool:
        """Whether one that was killed may have made this link; another may have its number, or nobody."""
        target = _target(link)
        return bool(target) and (_kind(target) == _kind(self._device) or not link.exists())

    def _hang_up(self) -> None:
        os.close(self._ours)
        os.close(self._theirs)


def _target(link: Path) -> str:
    """What a link says; nothing if it is none."""
    try:
        return os.readlink(link)
    except OSError:
        return ""


def _kind(device: str) -> str:
    """A device without its number: /dev/pts/ of a pseudo-terminal."""
    return device.rstrip("0123456789")


def _place(address: object) -> str:
    if isinstance(address, tuple):
        host, port = address[:2]
        return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    return address.decode() if isinstance(address, bytes) else str(address)
