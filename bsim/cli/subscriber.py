"""The options of `bsim new` that say who the subscriber is."""

import argparse
from typing import TYPE_CHECKING

from bsim.cli.common import UsageError

if TYPE_CHECKING:
    from bsim.profiles.subscription import Subscription


def add_subscriber(parser: argparse.ArgumentParser) -> None:
    """`--iccid`, `--imsi`, keys, PINs and the phonebook."""
    group = parser.add_argument_group("the SIM in it (docs/sim.md); all have defaults for tests")
    group.add_argument(
        "--iccid", metavar="DIGITS", help="19 or 20 digits, the last of which checks them (default: made up)"
    )
    group.add_argument(
        "--imsi", metavar="DIGITS", default="", help="6 to 15 digits (default: of the test network 001-01)"
    )
    group.add_argument(
        "--network", metavar="MCC-MNC", default="", help="home network of the IMSI that is made up: 460-11"
    )
    group.add_argument("--msisdn", metavar="NUMBER", default="", help="the subscriber's own number (default: none)")
    group.add_argument("--spn", metavar="NAME", help="the provider's name (default: BSIM)")
    group.add_argument("--smsc", metavar="NUMBER", help="the short message centre (default: +8613800100500)")
    group.add_argument("--plmn", metavar="MCC-MNC", action="append", default=[], help="a preferred network; repeatable")
    group.add_argument(
        "--contact", metavar="NAME=NUMBER", action="append", default=[], help="in the phonebook; repeatable"
    )
    group.add_argument(
        "--ki", metavar="HEX", default="", help="the key K, 16 bytes (default: test set 1 of 3GPP TS 35.208)"
    )
    operator = group.add_mutually_exclusive_group()
    operator.add_argument("--opc", metavar="HEX", default="", help="OPc, 16 bytes (default: that of the same set)")
    operator.add_argument("--op", metavar="HEX", default="", help="OP, 16 bytes, of which OPc is made")
    group.add_argument("--algorithm", choices=["milenage", "xor"], default="milenage", help="xor is the test algorithm")
    group.add_argument(
        "--pin1", metavar="DIGITS", default="", help="ask for this PIN1 (default: 1234, and not asked for)"
    )
    group.add_argument("--puk1", metavar="DIGITS", default="", help="eight digits that unblock it (default: 12345678)")
    group.add_argument("--pin2", metavar="DIGITS", default="", help="PIN2 (default: 5678)")
    group.add_argument("--puk2", metavar="DIGITS", default="", help="eight digits that unblock it (default: 87654321)")
    group.add_argument("--adm", metavar="DIGITS", default="", help="the administrator's PIN (default: 88888888)")


def read_subscriber(args: argparse.Namespace) -> "Subscription":
    """What the options say; UsageError where that cannot be."""
    from bsim.profiles import check_iccid, subscription

    if args.iccid is not None:
        check_iccid(args.iccid)
    contacts = [entry.rpartition("=") for entry in args.contact]
    if any(not equals for _, equals, _ in contacts):
        raise UsageError("--contact is a name and a number: --contact 'Alice=+8613000000001'")
    return subscription(
        imsi=args.imsi,
        msisdn=args.msisdn,
        name=args.spn,
        centre=args.smsc,
        network=args.network,
        networks=args.plmn,
        ki=args.ki,
        opc=args.opc,
        op=args.op,
        algorithm=args.algorithm,
        pin1=args.pin1,
        puk1=args.puk1,
        pin2=args.pin2,
        puk2=args.puk2,
        adm=args.adm,
        contacts=[(name, number) for name, _, number in contacts],
    )
