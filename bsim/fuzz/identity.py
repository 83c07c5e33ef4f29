"""Who a card is: its ATR and its ICCID, read again whenever one is put in."""

from bsim.ports import Card
from bsim.spec import encode, spec


def identity(card: Card) -> tuple[bytes, bytes]:
    """Power-cycle a card; answers its ATR and its ICCID (the bytes of EF.ICCID; empty where it does not tell)."""
    atr = card.reset()
    issuer = spec().applets["issuer"]
    select, get = spec().applets["uicc"].commands["SELECT"], issuer.commands["GET_ICCID"]
    card.transmit(encode(select, {"method": 4, "control": 12, "identifier": issuer.aids[0]}).encode())
    answer = card.transmit(encode(get, {"tag": 0x11}).encode())
    return atr, answer[2:-2] if answer[-2:] == b"\x90\x00" else b""
