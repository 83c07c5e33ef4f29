"""`bsim wallet tx | message | typed-data | login`: what the card shows its user before it signs."""

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from bsim.applets.confirm import visible
from bsim.chains import addresses, chainmaker, conflux, evm, fisco
from bsim.cli.common import Style, UsageError, parse_hex, print_json
from bsim.cli.json_file import read_object
from bsim.cli.phone import opened, require_bpin
from bsim.cli.show import shortened
from bsim.client import Account, Signed, Wallet
from bsim.client.signing import named
from bsim.crypto.algorithm import Algorithm

_CORE: Final = 503
_ENCODERS: Final[Mapping[str, Callable[[Mapping[str, object]], bytes]]] = {
    "evm": lambda fields: evm.Transaction.from_json(fields).unsigned(),
    "conflux": lambda fields: conflux.Transaction.from_json(fields).unsigned(),
    "chainmaker": lambda fields: chainmaker.Payload.from_json(fields).unsigned(),
    "fisco-bcos": lambda fields: fisco.Transaction.from_json(fields).unsigned(),
}
# Fields that only one family's transactions have.
_TELLING: Final = {"storageLimit": "conflux", "epochHeight": "conflux", "tx_id": "chainmaker", "randomid": "fisco-bcos"}
FAMILIES: Final = tuple(_ENCODERS)


def tx(args: argparse.Namespace) -> int:
    """Have a transaction of a JSON file shown and signed; the raw transaction is ready to be sent."""
    fields = _object(args.file)
    family = args.family or next((name for field, name in _TELLING.items() if field in fields), "evm")
    payload = _made(args.file, lambda: _ENCODERS[family](fields))
    claimed = fields.get("from")
    account, signed = _approved(
        args, family, claimed, lambda wallet, slot: wallet.sign_transaction(slot, payload, family)
    )
    _tell(args, account, signed)
    return 0


def message(args: argparse.Namespace) -> int:
    """Have a message shown and signed (EIP-191; CIP-23 with a key of Conflux Core Space)."""
    if (args.text is None) + (args.hex is None) + (args.file is None) != 2:
        raise UsageError("one message: TEXT, or --hex, or --file")
    if args.hex is not None:
        content = parse_hex(args.hex, "the message")
    else:
        content = args.text.encode() if args.text is not None else _bytes(args.file)
    _tell(args, *_approved(args, "personal", None, lambda wallet, slot: wallet.sign_message(slot, content)))
    return 0


def typed(args: argparse.Namespace) -> int:
    """Have typed data of a JSON file shown and signed (EIP-712; CIP-23 with a key of Conflux Core Space)."""
    fields = _object(args.file)

    _tell(args, *_approved(args, "typed-data", None, lambda wallet, slot: wallet.sign_typed_data(slot, fields)))
    return 0


def login(args: argparse.Namespace) -> int:
    """Have a sign-in signed: after a yes on the phone, or at once where the user has allowed it."""
    content = _bytes(args.file).removesuffix(b"\n")  # as editors end a file; no message of EIP-4361 ends so
    if (args.remember is None) != (args.until is None):
        raise UsageError("--remember N and --until DATE go together: how often, and until when")
    uses, until = (args.remember, _date(args.until)) if args.remember is not None else (0, 0)
    if args.remember is not None and not 0 < uses < 1 << 16:
        raise UsageError("--remember is 1 to 65535 more times")
    lines = content.decode(errors="replace").split("\n")
    claimed = lines[1] if len(lines) > 1 else None

    def sign(wallet: Wallet, slot: int) -> Signed:
        return wallet.login(slot, content, uses=uses, until=until)

    _tell(args, *_approved(args, "sign-in", claimed, sign))
    return 0


def _approved(
    args: argparse.Namespace, family: str, claimed: object, sign: Callable[[Wallet, int], Signed]
) -> tuple[Account, Signed]:
    """Have the BPIN verified and something signed with the slot that is asked for, or the one that fits."""
    with opened(args) as session:
        wallet = session.wallet()
        account = _chosen(wallet.accounts(), args.slot, family, claimed)
        require_bpin(session, wallet)
        try:
            return account, sign(wallet, account.slot)
        except ValueError as fault:
            raise UsageError(f"nothing was signed: {fault}") from fault


def _chosen(accounts: Iterable[Account], slot: int | None, family: str, claimed: object) -> Account:
    """The account of a slot; without one that of the address that is named, or the first that fits the family."""
    there = list(accounts)
    if slot is not None:
        found = next((one for one in there if one.slot == slot), None)
        if found is None:
            raise UsageError(f"the card has no key in slot {slot}; bsim wallet accounts lists those it has")
        return found
    kind = named(family)
    fitting = [one for one in there if one.algorithm in kind.algorithms]
    fitting = [one for one in fitting if one.coin_type in (kind.coin_types or {one.coin_type})]
    # Core Space's accounts are of another form than Ethereum's, whose families take any coin.
    usual = [one for one in fitting if kind.coin_types or one.coin_type != _CORE] or fitting
    if not usual:
        raise UsageError("the card has no key for this; bsim wallet derive makes one")
    try:
        wanted = addresses.parse(str(claimed))
    except ValueError:
        return usual[0]
    own = next((one for one in fitting if _is_of(wanted, one)), None)
    if own is None:
        raise UsageError(f"{claimed} is no account of this card; --slot N signs with another's key all the same")
    return own


def _is_of(wanted: addresses.Account, account: Account) -> bool:
    """Whether an address is that of a key over secp256k1, on whatever network."""
    of = conflux.address_bytes if wanted.network else evm.address_bytes
    return account.algorithm is Algorithm.SECP256K1 and of(account.public_key) == wanted.account


def _tell(args: argparse.Namespace, account: Account, signed: Signed) -> None:
    if args.json:
        print_json(as_json(account, signed))
        return
    style = Style()
    print(style.bold(visible(signed.summary.title)))
    lines = list(told(account, signed))
    wide = max(len(label) for label, _ in lines) + 2
    for label, text in lines:
        print(f"  {label:<{wide}}{text}")


def told(account: Account, signed: Signed) -> Iterator[tuple[str, str]]:
    """What was shown and what came of it, as lines for people."""
    for line in signed.summary.lines:
        yield line.label, shortened(visible(" ".join(line.text.split())), 76, 20)
    if signed.summary.hidden:
        yield "not shown", ", ".join(signed.summary.hidden)
    yield "signed with", f"slot {account.slot}, {account.coin}, {account.address or account.public_key.hex()}"
    yield "digest", signed.digest.hex()
    yield "r", f"{signed.signature.r:064x}"
    yield "s", f"{signed.signature.s:064x}"
    if signed.signature.recovery_id is not None:
        yield "recovery id", str(signed.signature.recovery_id)
    yield "raw", f"0x{signed.raw.hex()}"


def as_json(account: Account, signed: Signed) -> dict[str, object]:
    """The same for machines."""
    return {
        "slot": account.slot,
        "address": account.address,
        "public_key": account.public_key.hex(),
        "family": signed.family.name,
        "summary": {
            "title": signed.summary.title,
            "lines": [{"label": line.label, "text": line.text} for line in signed.summary.lines],
            "hidden": list(signed.summary.hidden),
        },
        "digest": signed.digest.hex(),
        "r": f"{signed.signature.r:064x}",
        "s": f"{signed.signature.s:064x}",
        "recovery_id": signed.signature.recovery_id,
        "der": signed.der.hex(),
        "raw": f"0x{signed.raw.hex()}",
    }


def _object(file: str) -> dict[str, object]:
    found = read_object(file)
    if found is None:
        raise UsageError(f"{file}: an object is wanted")
    return found


def _made(file: str, make: Callable[[], bytes]) -> bytes:
    try:
        return make()
    except ValueError as fault:
        raise UsageError(f"{file}: {fault}") from fault


def _bytes(file: str) -> bytes:
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as fault:
        raise UsageError(f"{file}: cannot be read ({fault.strerror})") from fault


def _date(text: str) -> int:
    """Read a date or a date-time, in UTC where it names no offset, as seconds since 1970."""
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"--until {text}: a date such as 2030-01-01, or a date-time of RFC 3339") from None
    seconds = int((when if when.tzinfo else when.replace(tzinfo=UTC)).timestamp())
    if not 0 < seconds < 1 << 32:
        raise UsageError(f"--until {text}: between 1970 and 2106")
    return seconds
