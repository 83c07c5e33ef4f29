"""What happens in the demo, step by step, and what came of it."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import version
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Final

from bsim.chains.evm import Transaction, address, checksum, parse_address
from bsim.cli.common import CheckFailed, UsageError
from bsim.cli.demo_gallery import SAMPLE, Gallery, collect
from bsim.cli.demo_stage import Stage
from bsim.cli.json_file import read_object
from bsim.cli.wallet_keys import account_json
from bsim.client import Account, Wallet
from bsim.crypto import verify
from bsim.crypto.algorithm import Algorithm
from bsim.crypto.keccak import keccak256
from bsim.profiles import default_engine
from bsim.spec import spec
from bsim.spec.decode import Answer, Decoded, Decoder, exchange_json

_SAMPLE: Final = "transfer.json"
_ETHER: Final = 60
_CONFLUX: Final = 503
_SOLANA: Final = 501


@dataclass(frozen=True, slots=True)
class Source:
    """A transaction, the fields it was made of, and where they were read."""

    name: str
    fields: dict[str, object]
    transaction: Transaction

    @property
    def claimed(self) -> str | None:
        """The account that `from` names, if it names one; `Transaction.from_json` has judged it."""
        given = self.fields.get("from")
        return None if given is None else checksum(parse_address(given))

    def shown(self) -> Iterator[tuple[str, str]]:
        """The fields for people, without those that are null for not there."""
        told = self.fields if self.transaction.to else {**self.fields, "to": "contract creation"}
        yield from ((name, str(value)) for name, value in told.items() if value is not None)


@dataclass(frozen=True, slots=True)
class Story:
    """All that the demo tells."""

    through: str
    path: str
    atr: str
    iccid: str
    version: str
    dialogue: tuple[str, ...]
    accounts: tuple[Account, ...]
    source: Source
    digest: bytes
    shown: tuple[str, ...]
    signature: bytes
    r: int
    s: int
    y_parity: int
    checker: str
    sender: str
    raw: bytes
    trace: tuple[tuple[Decoded, Answer], ...]
    gallery: Gallery

    @property
    def proven(self) -> bool:
        """Whether the sender recovered is the account that signed."""
        return self.sender == self.accounts[0].address

    @property
    def foreign(self) -> str | None:
        """The account the transaction says it is from, where that is not the card's."""
        return self.source.claimed if self.source.claimed != self.accounts[0].address else None

    @property
    def hash(self) -> bytes:
        """The transaction's own hash."""
        return keccak256(self.raw)

    def as_json(self) -> dict[str, object]:
        """The same for machines."""
        return {
            "through": self.through,
            "path": self.path,
            "atr": self.atr,
            "iccid": self.iccid,
            "version": self.version,
            "dialogue": list(self.dialogue),
            "accounts": [account_json(account) for account in self.accounts],
            "transaction": self.source.fields,
            "digest": self.digest.hex(),
            "shown": list(self.shown),
            "signature": {
                "der": self.signature.hex(),
                "r": f"{self.r:064x}",
                "s": f"{self.s:064x}",
                "y_parity": self.y_parity,
            },
            "checker": self.checker,
            "sender": self.sender,
            "proven": self.proven,
            "from_another_account": self.foreign is not None,
            "raw": f"0x{self.raw.hex()}",
            "hash": f"0x{self.hash.hex()}",
            "trace": [exchange_json(command, answer) for command, answer in self.trace],
            "gallery": self.gallery.as_json(),
        }


def load(name: str | None) -> Source:
    """Read a transaction, or the one that ships; UsageError names the file and the field."""
    shown = name or f"samples/{_SAMPLE}"
    found = read_object(name or samples() / _SAMPLE, shown)
    if found is None:
        raise UsageError(f"{shown}: an object with a transaction's fields is wanted")
    try:
        return Source(shown, found, Transaction.from_json(found))
    except ValueError as fault:
        raise UsageError(f"{shown}: {fault}") from fault


def samples() -> Traversable:
    """Where the samples are: inside the installed package, or at the top of the repository."""
    packaged = files("bsim") / "samples"
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "samples"


def perform(stage: Stage, source: Source) -> Story:
    """Do all of it on the stage's card."""
    atr = stage.card.reset()
    wallet = Wallet(stage.card, wait=0)
    iccid, applet = wallet.iccid(), wallet.version().hex()
    wallet.update_bpin()
    dialogue = tuple(stage.user.shown)
    if spec().applets["wallet"].dialogue["bpin_changed"] not in dialogue:
        raise CheckFailed(f"the BPIN was not changed; the phone showed: {' / '.join(dialogue)}")
    accounts = (wallet.derive(_ETHER), wallet.derive(_CONFLUX), wallet.derive(_SOLANA, Algorithm.ED25519))
    wallet.verify_bpin()
    before = len(stage.user.shown)
    signed = wallet.sign_transaction(accounts[0].slot, source.transaction.unsigned(), "evm")
    r, s, y_parity = signed.signature.r, signed.signature.s, signed.signature.recovery_id or 0
    recovered, checker = _recovered(signed.digest, r, s, y_parity)
    exchanges = list(stage.traced.exchanges)
    return Story(
        through=stage.through,
        path=stage.path,
        atr=atr.hex().upper(),
        iccid=iccid,
        version=applet,
        dialogue=dialogue,
        accounts=accounts,
        source=source,
        digest=signed.digest,
        shown=tuple(stage.user.shown[before:]),
        signature=signed.der,
        r=r,
        s=s,
        y_parity=y_parity,
        checker=checker,
        sender=address(recovered),
        raw=signed.raw,
        trace=tuple(_decoded(exchanges)),
        gallery=collect(wallet, samples() / SAMPLE),
    )


def _recovered(digest: bytes, r: int, s: int, y_parity: int) -> tuple[bytes, str]:
    """The public key as a library recovers it that did not sign, if there is one, and the words for which it is."""
    if default_engine().name == "ecdsa":
        with suppress(ImportError):
            return verify.recover_elsewhere(
                digest, r, s, y_parity
            ), f"coincurve {version('coincurve')}, which did not sign"
    signed = "signed too: there is no coincurve" if default_engine().name == "ecdsa" else "did not sign"
    return verify.recover(digest, verify.encode_der(r, s), y_parity), f"python-ecdsa {version('ecdsa')}, which {signed}"


def _decoded(exchanges: list[tuple[bytes, bytes]]) -> list[tuple[Decoded, Answer]]:
    decoder = Decoder(spec())
    made = []
    for raw, response in exchanges:
        command = decoder.command(raw)
        made.append((command, decoder.response(command, response)))
    return made
