"""`bsim wallet status | address | import | policies | attest`: what cards of the extended profile tell and take."""

import argparse
import base64
import sys
from collections.abc import Iterator
from pathlib import Path

from bsim.chains import FAMILIES
from bsim.cli.common import CheckFailed, Style, UsageError, asker, parse_hex, print_json, slot_number
from bsim.cli.phone import opened, require_bpin
from bsim.client import Attestation, LoginPolicy, Status
from bsim.client.asset_json import time_of


def status(args: argparse.Namespace) -> int:
    """Print where the card stands."""
    with opened(args) as session:
        found = session.wallet().status()
    if args.json:
        print_json(dict(_status(found, machine=True)))
    else:
        for name, value in _status(found, machine=False):
            print(f"{name:<12}{value}")
    return 0


def _status(found: Status, *, machine: bool) -> Iterator[tuple[str, object]]:
    algorithms = [algorithm.name.lower() for algorithm in found.algorithms]
    families = [FAMILIES[code].name if code in FAMILIES else f"{code:02x}" for code in found.families]
    yield "life_cycle" if machine else "life cycle", found.life_cycle
    yield "tries" if machine else "BPIN tries", found.tries
    yield "seed", found.seed if machine else ("yes" if found.seed else "no")
    yield "slots", found.slots
    yield "version", found.version.hex()
    yield "extension_version" if machine else "extension", found.extension_version.hex()
    yield "verified", found.verified if machine else ("yes" if found.verified else "no")
    yield "dialogue", found.dialogue.lower()
    yield "algorithms", algorithms if machine else ", ".join(algorithms)
    yield "families", families if machine else ", ".join(families)


def address(args: argparse.Namespace) -> int:
    """Print a slot's address as the card writes it."""
    slot = slot_number(args.slot)
    with opened(args) as session:
        text = session.wallet().address(slot)
    if args.json:
        print_json({"slot": slot, "address": text})
    else:
        print(text)
    return 0


def import_seed(args: argparse.Namespace) -> int:
    """Give a card without a seed one that is known."""
    seed = _seed(args.file)
    with opened(args) as session:
        wallet = session.wallet()
        wallet.import_seed(seed)
        slots = wallet.status().slots
    if args.json:
        print_json({"seed": True, "slots": slots})
    else:
        print("the card has a seed, and no keys yet; bsim wallet derive makes one")
    return 0


def _seed(file: str | None) -> bytes | str:
    """A mnemonic, or entropy in hex, of a file's first line or from the terminal; never an argument."""
    if file is None:
        ask = asker()
        if ask is None:
            raise UsageError("there is no terminal to ask on: --file FILE, or --file - for stdin")
        text = ask("mnemonic, or its entropy in hex: ")
    elif file == "-":
        text = sys.stdin.readline()
    else:
        try:
            text = Path(file).read_text(encoding="utf-8").partition("\n")[0]
        except (OSError, UnicodeDecodeError):
            raise UsageError(f"{file}: cannot be read as text") from None
    secret = text if " " in text.strip() else parse_hex(text, "the entropy")
    if not secret:
        raise UsageError("neither a mnemonic nor its entropy in hex was given")
    return secret


def policies(args: argparse.Namespace) -> int:
    """List the domains that the card logs in to without asking, or take one back."""
    with opened(args) as session:
        wallet = session.wallet()
        require_bpin(session, wallet)
        if args.forget is not None:
            if not 0 < args.forget < 256:
                raise UsageError("--forget takes the number of a policy, as the list has it")
            wallet.forget(args.forget)
        found = wallet.policies()
    if args.json:
        print_json([_policy_json(policy) for policy in found])
    elif found:
        style = Style()
        print(style.bold(f"{'no':<4}{'slot':<6}{'chain':<8}{'uses':<7}{'until':<22}domain"))
        for one in found:
            print(f"{one.number:<4}{one.slot:<6}{one.chain:<8}{one.uses:<7}{time_of(one.until):<22}{one.domain}")
    else:
        print("no domain may log in without asking; bsim wallet login --remember asks for that")
    return 0


def _policy_json(policy: LoginPolicy) -> dict[str, object]:
    return {
        "number": policy.number,
        "domain": policy.domain,
        "slot": policy.slot,
        "chain": policy.chain,
        "uses": policy.uses,
        "until": time_of(policy.until),
        "last": time_of(policy.last),
    }


def attest(args: argparse.Namespace) -> int:
    """Have the card prove that a slot's key lives in it, and check the proof."""
    challenge = None if args.challenge is None else parse_hex(args.challenge, "the challenge")
    if challenge is not None and not 8 <= len(challenge) <= 64:
        raise UsageError("a challenge has 8 to 64 bytes")
    slot = slot_number(args.slot)
    with opened(args) as session:
        found = session.wallet().attest(slot, challenge)
    fault = found.verify()
    told = _attestation(found) | {"verified": not fault}
    if args.json:
        print_json(told)
    else:
        for name, value in told.items():
            print(f"{name:<13}{value if name != 'verified' else 'yes, by bsim test authority' if value else 'no'}")
    if fault:
        raise CheckFailed(f"this proves nothing: {fault}")
    return 0


def _attestation(found: Attestation) -> dict[str, object]:
    encoded = base64.b64encode(found.certificate).decode()
    return {
        "slot": found.fields["slot"][0],
        "coin_type": int.from_bytes(found.fields["coin_type"], "big"),
        "algorithm": found.fields["algorithm"][0],
        "public_key": found.fields["public_key"].hex(),
        "iccid": found.iccid,
        "challenge": found.challenge.hex(),
        "statement": found.statement.hex(),
        "signature": found.fields["signature"].hex(),
        "certificate": encoded,
    }
