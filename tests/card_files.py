"""What the tests of card files share: files of each kind, folders that cost no disk, and a search for secrets."""

import base64
import shutil
import sqlite3
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from helpers import BPIN, ENTROPY, ETHEREUM, KEY2, MNEMONIC, bare_card, bip39_seed, expect, secp256k1_secret, select

from bsim.store import PLAIN, Given, Key, SqliteStore, Wrapping

GOLDEN = Path(__file__).parent / "golden"
PASSPHRASE = "correct horse battery staple"
KEY_FILE = Key(Wrapping.KEY_FILE, bytes(range(32)))
KEYS = {"plain": PLAIN, "key-file": KEY_FILE, "passphrase": Key(Wrapping.PASSPHRASE, PASSPHRASE.encode())}


@contextmanager
def fast_folder() -> Iterator[Path]:
    """A folder in memory where there is one: what is tested by the thousand waits for no disk."""
    memory = Path("/dev/shm")
    folder = Path(tempfile.mkdtemp(prefix="bsim-test-", dir=memory if memory.is_dir() else None))
    try:
        yield folder
    finally:
        shutil.rmtree(folder)


def make(path: Path, key: Key = PLAIN, slots: int = 2) -> dict[str, bytes]:
    """The test card in a file, with keys; answers its records."""
    with closing(SqliteStore(path, create=True, unlock=Given(key))) as store:
        card = bare_card(store=store)
        select(card)
        for _ in range(slots):
            expect(card, "DERIVE_KEY", coin_type=ETHEREUM, algorithm=1)
        return dict(store.read())


def load(path: Path, key: Key = PLAIN) -> dict[str, bytes]:
    """The records of a file."""
    with closing(SqliteStore(path, unlock=Given(key))) as store:
        return dict(store.read())


def edit(path: Path, *statements: tuple[str, tuple[object, ...]]) -> None:
    """Change a card file behind its back."""
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        for statement, values in statements:
            database.execute(statement, values)


def rows(path: Path) -> dict[str, tuple[int, bytes]]:
    """The sealed records of a file."""
    with closing(sqlite3.connect(path)) as database:
        return {name: (version, value) for name, version, value in database.execute("SELECT * FROM record")}


def image(folder: Path) -> dict[str, bytes]:
    """Every file of a folder."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def secrets(records: Mapping[str, bytes] | None = None) -> dict[str, bytes]:
    """What must be found nowhere: of the test card, or of the records of another."""
    found = {
        "mnemonic": MNEMONIC.encode(),
        "entropy": ENTROPY,
        "seed": bip39_seed(),
        "key2": KEY2,
        "BPIN": BPIN.encode(),
        "new BPIN": b"271828",
        "passphrase": PASSPHRASE.encode(),
    }
    found |= {f"private key {slot}": secp256k1_secret(ETHEREUM, slot).to_bytes(32, "big") for slot in (1, 2)}
    names = ("wallet.entropy", "wallet.seed", "wallet.bpin", "wallet.opening_key")
    return found | {name: value for name, value in (records or {}).items() if name in names and value}


def leaks(haystack: bytes, needles: Mapping[str, bytes], but: Iterable[str] = ()) -> list[str]:
    """The names of the secrets that are somewhere in these bytes: as they are, in hex, in base64."""
    found = []
    for name, needle in needles.items():
        forms = [needle, needle.hex().encode(), needle.hex().upper().encode(), base64.b64encode(needle).rstrip(b"=")]
        if name not in but and any(form in haystack for form in forms):
            found.append(name)
    return found
