"""Fleets: thousands of independent cards in one process, made from one deterministic seed.

fleet = Fleet("load test 7", 100_000, phone=partial(in_handset, handset="right"))
fleet[41_999].transmit(...)
signatures = sign_many(fleet, (SignJob(card, 1, 60, digest) for card in range(len(fleet))), processes=2)
"""

from bsim.fleet.accounts import COLUMNS, FleetAccount, accounts, write_csv, write_json
from bsim.fleet.cards import Fleet, FleetCard, Phone, Progress
from bsim.fleet.plan import ETHER, Coins, Plan
from bsim.fleet.signing import SignError, SignJob, sign_many
from bsim.fleet.workers import FleetError

__all__ = [
    "COLUMNS",
    "ETHER",
    "Coins",
    "Fleet",
    "FleetAccount",
    "FleetCard",
    "FleetError",
    "Phone",
    "Plan",
    "Progress",
    "SignError",
    "SignJob",
    "accounts",
    "sign_many",
    "write_csv",
    "write_json",
]
