"""The wallet applet on one card and on one channel: what its handlers work with."""

from typing import TYPE_CHECKING, Final, NamedTuple

from bsim.applets.bpin import Dialogue
from bsim.applets.contacts import Contacts
from bsim.applets.device import Device
from bsim.applets.issuer import IssuerState
from bsim.applets.keys import Keys
from bsim.applets.pages import Pages
from bsim.applets.registry import Registry
from bsim.applets.routes import Routes
from bsim.applets.secure import SecureSession
from bsim.applets.session import Platform
from bsim.applets.signing_state import SigningState
from bsim.applets.wallet_state import WalletState
from bsim.crypto.algorithm import Algorithm
from bsim.store import Cell

if TYPE_CHECKING:
    from bsim.applets.approval import Approval

_KNOWN_ALGORITHMS: Final = frozenset({Algorithm.SECP256K1, Algorithm.ED25519})
_EVERY_ALGORITHM: Final = frozenset(Algorithm)


class WalletRules(NamedTuple):
    """Where profiles differ. `extended` cards answer what applet_spec adds to the real card's commands."""

    extended: bool = True
    opening_required: bool = False
    verified_for_one_signature: bool = False
    ask_each_time: bool = False
    secure_import: bool = False

    @property
    def algorithms(self) -> frozenset[Algorithm]:
        """Those that keys can be derived for."""
        return _EVERY_ALGORITHM if self.extended else _KNOWN_ALGORITHMS


class WalletRoutes(NamedTuple):
    """Routes for the two sides of a wallet's life."""

    in_use: Routes
    terminated: Routes


class WalletApplet:
    """The wallet applet as it is installed on one card."""

    __slots__ = (
        "_in_use",
        "_terminated",
        "aids",
        "cell",
        "contacts",
        "device",
        "domain",
        "keys",
        "registry",
        "rules",
        "signing",
    )

    def __init__(
        self,
        aids: tuple[bytes, ...],
        routes: WalletRoutes,
        cell: Cell[WalletState],
        keys: Keys,
        rules: WalletRules,
        *,
        domain: Cell[IssuerState],
        registry: Registry,
        contacts: Contacts,
        signing: Cell[SigningState],
        device: Device,
    ) -> None:
        self.aids: Final = aids
        self.domain: Final = domain
        self._in_use: Final = routes.in_use
        self._terminated: Final = routes.terminated
        self.cell: Final = cell
        self.keys: Final = keys
        self.rules: Final = rules
        self.registry: Final = registry
        self.contacts: Final = contacts
        self.signing: Final = signing
        self.device: Final = device

    @property
    def selectable(self) -> bool:
        """Whether the issuer domain has it installed, and neither it nor the card is locked."""
        return self.domain.value.selectable(self.aids[0])

    @property
    def routes(self) -> Routes:
        """What the applet answers, in use or terminated; it changes with a reset only."""
        return self._terminated if self.cell.value.terminated else self._in_use

    def session(self, card: Platform, channel: int) -> "WalletSession":
        """Begin a session on a logical channel (0-19)."""
        return WalletSession(self, card, channel)

    def reset(self) -> None:
        """Power is gone: wipe the keys."""
        self.keys.wipe()


class WalletSession(SecureSession):
    """What the wallet applet remembers on one channel."""

    __slots__ = (
        "approval",
        "cell",
        "challenge",
        "contacts",
        "device",
        "dialogue",
        "domain",
        "issuer",
        "keys",
        "paged",
        "registry",
        "rules",
        "session_key",
        "signing",
        "verified",
    )

    def __init__(self, applet: WalletApplet, card: Platform, channel: int) -> None:
        super().__init__(applet, card, channel)
        self.cell = applet.cell
        self.keys = applet.keys
        self.rules = applet.rules
        self.registry = applet.registry
        self.contacts = applet.contacts
        self.signing = applet.signing
        self.device = applet.device
        self.domain = applet.domain
        self.verified = False
        self.dialogue: Dialogue | None = None
        self.paged: dict[str, Pages] = {}
        self.challenge = b""
        self.issuer = False
        self.session_key = b""
        self.approval: Approval | None = None

    @property
    def state(self) -> WalletState:
        """The persistent state as of now."""
        return self.cell.value

    def selected(self) -> None:
        """Selected again: the BPIN stays verified (both AIDs share one channel over BLE), paged reads start anew."""
        super().selected()
        self.challenge = b""
        self.paged.clear()

    def close(self) -> None:
        """The channel closes: forget what was granted and handed over."""
        super().close()
        self.verified = self.issuer = False
        self.approval = None
        self.challenge = self.session_key = b""
        self.paged.clear()
