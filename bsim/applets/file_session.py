"""The file system of one card, and where one logical channel is in it: current directory, file and record."""

from enum import IntEnum
from typing import TYPE_CHECKING, Final

from bsim import tlv
from bsim.applets.file_tree import File, FileTree, parent
from bsim.applets.pins import Pins
from bsim.applets.session import Platform, Session
from bsim.spec import access
from bsim.spec.access import Mode
from bsim.spec.files import MF
from bsim.sw import SW, SwError

if TYPE_CHECKING:
    from bsim.applets.routes import Routes
    from bsim.applets.subscriber import Subscriber

CURRENT_APPLICATION: Final = b"\x7f\xff"
_DF_NAME: Final = 0x84


class Method(IntEnum):
    """How SELECT names what it wants. ETSI TS 102 221 table 11.1."""

    FILE_ID = 0x00
    CHILD_DF = 0x01
    PARENT_DF = 0x03
    DF_NAME = 0x04
    PATH_FROM_MF = 0x08
    PATH_FROM_DF = 0x09


class FileSystem:
    """The files, PINs and subscriber of one card; an applet without a name, which is what a channel begins at."""

    __slots__ = ("pins", "routes", "subscriber", "tree")

    aids: tuple[bytes, ...] = ()
    selectable: Final = True

    def __init__(self, routes: "Routes", tree: FileTree, pins: Pins, subscriber: "Subscriber") -> None:
        self.routes: Final = routes
        self.tree: Final = tree
        self.pins: Final = pins
        self.subscriber: Final = subscriber

    def session(self, card: Platform, channel: int) -> "FileSession":
        """Begin a session at the master file."""
        return FileSession(self, self, MF, card, channel)

    def reset(self) -> None:
        """Power is gone: no PIN is verified."""
        self.pins.reset()


class ApplicationDirectory:
    """An application directory of the file system, selected by its AID."""

    __slots__ = ("aids", "files", "path", "routes")

    selectable: Final = True

    def __init__(self, files: FileSystem, path: bytes) -> None:
        self.aids: Final = (files.tree.aid(path),)
        self.files: Final = files
        self.path: Final = path
        self.routes: Final = files.routes

    def session(self, card: Platform, channel: int) -> "FileSession":
        """Begin a session at the application's directory."""
        return FileSession(self, self.files, self.path, card, channel)

    def reset(self) -> None:
        """The file system's own reset does it."""


class FileSession(Session):
    """Where a channel is in the file system. `record` is the current record, 0 for none."""

    __slots__ = ("_directory", "file", "home", "incoming", "outgoing", "pins", "record", "subscriber", "tree")

    def __init__(
        self, applet: FileSystem | ApplicationDirectory, files: FileSystem, home: bytes, card: Platform, channel: int
    ) -> None:
        super().__init__(applet, card, channel)
        self.tree = files.tree
        self.pins = files.pins
        self.subscriber = files.subscriber
        self.home: Final = home
        self._directory = home
        self.file: bytes | None = None
        self.record = 0
        self.incoming = self.outgoing = b""  # blocks of a data object, on their way

    def selected(self) -> None:
        """The application is selected (again): its directory is the current one, and no file is."""
        super().selected()
        self.enter(self.home)

    @property
    def directory(self) -> bytes:
        """The path of the current directory; the master file's where that was deleted on another channel."""
        return self._directory if self.tree.get(self._directory) is not None else MF

    @property
    def current(self) -> bytes:
        """The path of what was selected last: a file, or the directory."""
        return self.file if self.file is not None and self.tree.get(self.file) is not None else self.directory

    def name(self) -> bytes:
        """The name of the application that is selected on this channel."""
        aid = self.tree.aid(self.home)
        return tlv.encode(_DF_NAME, aid) if aid else b""

    def find(self, method: Method, identifier: bytes) -> bytes:
        """Answer the path of what SELECT means; SwError 6A82 if there is none. ETSI TS 102 221 8.4."""
        if method in {Method.PATH_FROM_MF, Method.PATH_FROM_DF}:
            path = self._path(MF if method is Method.PATH_FROM_MF else self.directory, identifier)
        elif method is Method.PARENT_DF:
            path = parent(self.directory)
        elif method is Method.CHILD_DF:
            path = self.directory + identifier
        else:
            path = self._identified(identifier)
        found = self.tree.file(path)
        if method in {Method.CHILD_DF, Method.PARENT_DF} and not found.directory:
            raise SwError(SW.FILE_NOT_FOUND, "no such directory")
        application = path[: 2 * len(MF)]
        if self.tree.aid(application) and application != self.home:
            raise SwError(SW.FILE_NOT_FOUND, "an application is selected by its AID")
        return path

    def enter(self, path: bytes) -> None:
        """Make a file or directory the current one."""
        is_directory = self.tree.file(path).directory
        self._directory = path if is_directory else parent(path)
        self.file = None if is_directory else path
        self.record = 0
        self.incoming = self.outgoing = b""

    def elementary(self, sfi: int = 0) -> bytes:
        """Answer the path of the file a command works on, selecting it where a short identifier names it (1-30).

        SwError 6986 where none is selected, 6984 where it is deactivated.
        """
        if sfi:
            self.enter(self.tree.by_sfi(self.directory, sfi))
        if self.file is None or self.tree.get(self.file) is None:
            raise SwError(SW.COMMAND_NOT_ALLOWED, "no elementary file is selected")
        if not self.tree.file(self.file).active:
            raise SwError(SW.REFERENCE_DATA_NOT_USABLE, "the file is deactivated")
        return self.file

    def permit(self, path: bytes, mode: Mode) -> None:
        """Refuse with 6982 what the access rule of a file does not allow now. ETSI TS 102 221 9.2."""
        if not self.condition(path, mode).holds(self.pins.holds):
            raise SwError(SW.SECURITY_STATUS_NOT_SATISFIED, "the access rule wants a PIN that was not verified")

    def condition(self, path: bytes, mode: Mode) -> access.Condition:
        """Answer what a file's record of EF.ARR says of an access mode; what is not said is never allowed."""
        try:
            return access.condition(access.parse(self._rule(path)), mode)
        except tlv.TlvError:
            return access.NEVER

    def within(self, path: bytes) -> bool:
        """Whether the current directory is this one or below it."""
        return self.directory.startswith(path)

    def _rule(self, path: bytes) -> bytes:
        file = self.tree.file(path)
        number, at = file.rule[2], parent(path)
        # ETSI TS 102 221 9.2.7: the EF.ARR in the file's own directory is meant, or the next above that has one.
        while (arr := self.tree.get(at + file.rule[:2])) is None and at != MF:
            at = parent(at)
        if arr is None or not 1 <= number <= arr.size // (arr.record or 1):
            return b""
        return self.tree.content(at + file.rule[:2])[arr.record * (number - 1) : arr.record * number]

    def _application(self) -> bytes:
        return self.home if self.tree.aid(self.home) else b""

    def _path(self, start: bytes, identifiers: bytes) -> bytes:
        if len(identifiers) % 2:
            raise SwError(SW.FILE_NOT_FOUND, "file identifiers have two bytes each")
        if identifiers[:2] == CURRENT_APPLICATION and self._application():
            return self._application() + identifiers[2:]
        return start + identifiers

    def _identified(self, identifier: bytes) -> bytes:
        """ETSI TS 102 221 8.4.1: what a file identifier reaches from the current directory."""
        if identifier in {b"", MF}:
            return MF
        if len(identifier) != 2:
            raise SwError(SW.FILE_NOT_FOUND, "a file identifier has two bytes")
        if identifier == CURRENT_APPLICATION and self._application():
            return self._application()
        if self.directory[-2:] == identifier:
            return self.directory
        above = parent(self.directory)
        reached = (self.directory + identifier, above if above[-2:] == identifier else b"", self._sibling(identifier))
        for path in reached:
            if path and self.tree.get(path) is not None:
                return path
        raise SwError(SW.FILE_NOT_FOUND, "no such file here")

    def _sibling(self, identifier: bytes) -> bytes:
        path = parent(self.directory) + identifier
        found: File | None = self.tree.get(path)
        return path if found is not None and found.directory else b""
