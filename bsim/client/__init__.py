"""The wallet's side of a card: `Wallet`, and what its calls answer."""

from bsim.client.account import Account
from bsim.client.attestation import Attestation
from bsim.client.connection import CardError
from bsim.client.signing import LoginPolicy, Signed, Status
from bsim.client.wallet import Wallet

__all__ = ["Account", "Attestation", "CardError", "LoginPolicy", "Signed", "Status", "Wallet"]
