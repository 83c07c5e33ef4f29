"""What a transaction of an account does, told in the same words for every chain with contracts."""

from collections.abc import Iterator

from bsim.chains import calls
from bsim.chains.family import Line, Summary
from bsim.chains.items import AccessList


def action(to: bytes, data: bytes, sent: str, write: calls.WriteAddress) -> Summary:
    """Tell a transfer, a known call, an unknown one or the making of a contract; `sent` is the amount in words."""
    value = Line("Amount", sent)
    if not to:
        return Summary("Create a contract", (value, *calls.code(data)), ("data",))
    if not data:
        return Summary(f"Send {sent}", (Line("To", write(to)), value))
    told = calls.tell(data, write)
    if told is None:
        lines = Line("To", write(to)), value, *calls.unknown(data)
        return Summary("Call a contract, NOT UNDERSTOOD", lines, ("data",))
    return Summary(told.title, (Line("Contract", write(to)), *told.lines, value))


def access_lines(entries: AccessList, write: calls.WriteAddress) -> Iterator[Line]:
    """One line an entry of an access list, with each of its storage keys."""
    for account, keys in entries:
        yield Line("Accesses", " ".join([write(account), *(f"0x{key.hex()}" for key in keys)]))
