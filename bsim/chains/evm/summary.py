"""An EVM transaction for the user's eyes: every field of it, what is not understood said to be so."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from bsim.chains import calls
from bsim.chains.actions import access_lines, action
from bsim.chains.amounts import GWEI, decimal
from bsim.chains.evm.authorization import Authorization
from bsim.chains.evm.kinds import Kind
from bsim.chains.evm.networks import amount, network
from bsim.chains.evm_account import checksum
from bsim.chains.family import Line, Names, Summary, called

if TYPE_CHECKING:
    from bsim.chains.evm.transaction import Transaction


def summary(transaction: "Transaction", names: Names) -> Summary:
    """Say what the transaction does, and all that it signs."""

    def write(account: bytes) -> str:
        return called(names, checksum(account))

    sent = amount(transaction.chain_id, transaction.value)
    told = action(transaction.to, transaction.data, sent, write)
    authorized = [_authorization(one, write) for one in transaction.authorizations]
    # EIP-7702: whatever the call is, this changes what accounts are. It stands where a user looks first.
    title = f"{told.title}, and put code into accounts ({len(authorized)})" if authorized else told.title
    lines = (*told.lines, *authorized, *_terms(transaction), *access_lines(transaction.access_list, write))
    return Summary(title, lines, told.hidden)


def _terms(transaction: "Transaction") -> Iterator[Line]:
    chain_id, gas, price = transaction.chain_id, transaction.gas, transaction.max_fee_per_gas
    yield Line("Fee at most", amount(chain_id, gas * price))
    yield Line("Chain", network(chain_id))
    yield Line("Nonce", str(transaction.nonce))
    yield Line("Gas limit", str(gas))
    yield Line("Gas price at most", _gwei(price))
    if transaction.kind in (Kind.FEE_MARKET, Kind.SET_CODE):
        yield Line("Priority fee per gas", _gwei(transaction.max_priority_fee_per_gas))
    yield Line("Type", _TYPES[transaction.kind])


_TYPES: Final = {
    Kind.LEGACY: "legacy (EIP-155)",
    Kind.ACCESS_LIST: "EIP-2930",
    Kind.FEE_MARKET: "EIP-1559",
    Kind.SET_CODE: "EIP-7702",
}


def _gwei(value: int) -> str:
    return f"{decimal(value, GWEI)} gwei"


def _authorization(one: Authorization, write: calls.WriteAddress) -> Line:
    where = f"on {network(one.chain_id)}" if one.chain_id else "ON EVERY CHAIN"
    signature = f"signature {one.y_parity} 0x{one.r:064x} 0x{one.s:064x}"
    return Line("Puts code into an account", f"{write(one.address)} {where}, nonce {one.nonce}, {signature}")
