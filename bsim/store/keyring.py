"""Where the secret of a card file comes from: a file, the environment, a person, or the user's own key folder."""

import os
import secrets
import unicodedata
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, Protocol

from bsim.store.errors import LockedError, StoreError
from bsim.store.seal import KEY_LENGTH, PLAIN, Key, Wrapping

PASSPHRASE_VARIABLE: Final = "BSIM_PASSPHRASE"  # noqa: S105 - its name, not itself
_PASSPHRASE_HELP: Final = f"--passphrase-file FILE or {PASSPHRASE_VARIABLE}"

Ask = Callable[[str], str]
"""Asks a person for something that is not shown."""


class Unlock(Protocol):
    """Knows the secrets of card files, and chooses those of new ones."""

    def secret(self, card: Path, wrapping: Wrapping, card_id: bytes) -> bytes:
        """Answer the secret of a card file; LockedError says what it needs where there is none."""
        ...

    def new(self, card: Path, card_id: bytes) -> Key:
        """Choose what wraps a new card's key; StoreError if it cannot be had."""
        ...


class Given:
    """One key, given beforehand; without one, the way into plain files only."""

    def __init__(self, key: Key = PLAIN) -> None:
        self.key: Final = key

    def secret(self, card: Path, wrapping: Wrapping, card_id: bytes) -> bytes:  # noqa: ARG002 - it knows one key
        """Answer the key's secret; LockedError if the card file needs one of another kind."""
        if wrapping is self.key.wrapping:
            return self.key.secret
        if wrapping is Wrapping.PLAIN:
            return PLAIN.secret
        raise LockedError(f"{card}: needs its {wrapping}")

    def new(self, card: Path, card_id: bytes) -> Key:  # noqa: ARG002 - it knows one key
        """Answer the key."""
        return self.key


class Keyring:
    """What a user has: options, environment, terminal, key folder, in this order. Asks once a card, and remembers."""

    def __init__(
        self,
        *,
        passphrase: str | None = None,
        passphrase_file: Path | None = None,
        key_file: Path | None = None,
        ask: Ask | None = None,
        environment: Mapping[str, str] | None = None,
        passphrase_variable: str = PASSPHRASE_VARIABLE,
    ) -> None:
        self._passphrase: Final = passphrase
        self._passphrase_file: Final = passphrase_file
        self._key_file: Final = key_file
        self._ask: Final = ask
        self._environment: Final = os.environ if environment is None else environment
        self._variable: Final = passphrase_variable
        self._asked: dict[bytes, bytes] = {}
        self.made: Path | None = None
        """The key file that `new` made, if it made one."""

    def secret(self, card: Path, wrapping: Wrapping, card_id: bytes) -> bytes:
        """Answer the secret of a card file; LockedError says what it needs where there is none."""
        if wrapping is Wrapping.PLAIN:
            return PLAIN.secret
        if wrapping is Wrapping.KEY_FILE:
            return self._read_key_file(card, self._key_file or self.key_path(card_id))
        passphrase = self._given_passphrase() or self._asked.get(card_id)
        if passphrase is None:
            if self._ask is None:
                raise LockedError(f"{card}: needs its passphrase: {_PASSPHRASE_HELP}")
            passphrase = self._asked[card_id] = _normal(self._ask(f"Passphrase of {card}: "))
        return passphrase

    def new(self, card: Path, card_id: bytes) -> Key:
        """Choose what wraps a new card's key; makes a key file where there is no passphrase to be had."""
        if self._key_file is None:
            passphrase = self._given_passphrase() or self._new_passphrase(card)
            if passphrase:
                self._asked[card_id] = passphrase
                return Key(Wrapping.PASSPHRASE, passphrase)
        path = self._key_file or self.key_path(card_id)
        if not path.exists():
            _make_key_file(path)
            self.made = path
        return Key(Wrapping.KEY_FILE, self._read_key_file(card, path))

    def forget(self) -> None:
        """Take back the key file that `new` made: its card came to nothing."""
        if self.made is not None:
            self.made.unlink(missing_ok=True)
            self.made = None

    def key_path(self, card_id: bytes) -> Path:
        """Answer where the key file of a card is by itself. XDG Base Directory Specification."""
        configured = self._environment.get("XDG_CONFIG_HOME", "")
        try:
            base = Path(configured) if os.path.isabs(configured) else Path.home() / ".config"
        except RuntimeError as fault:
            raise LockedError("there is no home directory for a key folder; --key-file names a key file") from fault
        return base / "bsim" / "keys" / f"{card_id.hex()}.key"

    def _given_passphrase(self) -> bytes | None:
        if self._passphrase is not None:
            return _normal(self._passphrase)
        if self._passphrase_file is not None:
            return _read_passphrase_file(self._passphrase_file)
        text = self._environment.get(self._variable)
        if text == "":  # a secret that a script forgot to set, and no wish for a key file
            raise LockedError(f"{self._variable} is set and empty; set it to the passphrase, or unset it")
        return None if text is None else _normal(text)

    def _new_passphrase(self, card: Path) -> bytes | None:
        if self._ask is None:
            return None
        first = self._ask(f"New passphrase for {card} (empty: a key file in your key folder): ")
        if first and first != self._ask("The same again: "):
            raise LockedError("the passphrases differ")
        return _normal(first) or None

    def _read_key_file(self, card: Path, path: Path) -> bytes:
        try:
            with path.open("rb") as file:
                secret = file.read(KEY_LENGTH + 1)
        except OSError as fault:
            raise LockedError(
                f"{card}: needs its key file, and {path} cannot be read ({fault.strerror}); --key-file names another"
            ) from fault
        if len(secret) != KEY_LENGTH:
            raise LockedError(f"{path}: no key file, which has {KEY_LENGTH} bytes")
        return secret


def _normal(passphrase: str) -> bytes:
    """The same passphrase is the same bytes, however it was typed: NFC, UTF-8."""
    return unicodedata.normalize("NFC", passphrase).encode("utf-8", "surrogateescape")


def _read_passphrase_file(path: Path) -> bytes:
    try:
        first = path.read_text("utf-8").partition("\n")[0].removesuffix("\r")
    except (OSError, UnicodeDecodeError) as fault:
        words = getattr(fault, "strerror", None) or "not UTF-8"
        raise LockedError(f"{path}: the passphrase cannot be read ({words})") from None
    if not first:
        raise LockedError(f"{path}: the passphrase is the first line, and that is empty")
    return _normal(first)


def _make_key_file(path: Path) -> None:
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        try:
            os.write(descriptor, secrets.token_bytes(KEY_LENGTH))
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(path.parent)  # a card must not outlive its key
    except OSError as fault:
        raise StoreError(
            f"{path}: the key file cannot be made ({fault.strerror}); {_PASSPHRASE_HELP} does without"
        ) from fault


def sync_folder(folder: Path) -> None:
    """Make the names in a folder survive power loss, where the system can."""
    if os.name == "posix":
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
