"""Traces as pcap files that Wireshark reads: GSMTAP packets of type SIM in UDP, as hardware tracers send them.

What goes over the contacts of a T=0 card is rebuilt: a response to data is fetched with GET RESPONSE. Redacted bytes
are 2A, an asterisk. Resets are left out: Wireshark takes an ATR in such a packet for an APDU.
"""

import struct
from collections.abc import Iterator
from datetime import datetime
from typing import Final

from bsim.apdu import CLAS, body, cla_on_channel
from bsim.lab.trace import Exchange, Start, Trace, TraceError, unmasked
from bsim.sw import SwError, bytes_available

# libosmocore's gsmtap.h.
_PORT: Final = 4729
_SIM: Final = 0x04
_APDU: Final = 0
_HEADER: Final = struct.pack(">BBBBHBBIBBBB", 2, 4, _SIM, 0, 0, 0, 0, 0, _APDU, 0, 0, 0)
# libpcap: microseconds, version 2.4, LINKTYPE_RAW (packets begin with the IP header).
_PCAP: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 0x0004_0000, 101)
_LOOPBACK: Final = bytes((127, 0, 0, 1))
_MOST: Final = 65_000
_SHORT: Final = 256


def pcap(trace: Trace) -> bytes:
    """The whole trace as a pcap file; TraceError if its time of day cannot be read."""
    return _PCAP + b"".join(_record(seconds, payload) for seconds, payload in _packets(trace))


def _packets(trace: Trace) -> Iterator[tuple[float, bytes]]:
    began = 0.0
    for event in trace.events:
        if isinstance(event, Start):
            began = _moment(trace, event)
        elif isinstance(event, Exchange) and not event.lost:
            for tpdu in _tpdus(unmasked(event.command), unmasked(event.response)):
                yield began + event.at, tpdu


def _moment(trace: Trace, start: Start) -> float:
    try:
        return datetime.fromisoformat(start.when).timestamp()
    except ValueError as fault:
        raise TraceError(f"{trace.path}:{start.line}: {start.when!r} is no time") from fault


def _tpdus(command: bytes, response: bytes) -> Iterator[bytes]:
    """Command and response together, as they go over the contacts. ISO/IEC 7816-3 12.2.1."""
    data, sw = response[:-2], response[-2:]
    try:
        start, end, _ = body(command)
    except SwError:
        yield command + response
        return
    if start in {end, 7} or len(data) > _SHORT:  # case 1 or 2; extended ones are no TPDUs, and go whole
        yield (command if len(command) > 4 else command + b"\0") + response
    elif not data:
        yield command[:end] + sw
    else:
        yield command[:end] + bytes_available(len(data))
        cla = CLAS[command[0]]
        again = cla_on_channel(0, cla.channel) if cla.valid else 0
        yield bytes((again, 0xC0, 0, 0, len(data) & 0xFF)) + data + sw


def _record(seconds: float, payload: bytes) -> bytes:
    packet = _ip(_udp(_HEADER + payload[:_MOST]))
    whole, rest = divmod(round(seconds * 1_000_000), 1_000_000)
    return struct.pack("<IIII", whole, rest, len(packet), len(packet)) + packet


def _udp(payload: bytes) -> bytes:
    return struct.pack(">HHHH", _PORT, _PORT, 8 + len(payload), 0) + payload  # no checksum: RFC 768


def _ip(payload: bytes) -> bytes:
    """IPv4, RFC 791."""
    fields = (0x45, 0, 20 + len(payload), 0, 0, 64, 17)
    packed = struct.pack(">BBHHHBB", *fields)
    total = sum(struct.unpack(">10H", packed + b"\0\0" + 2 * _LOOPBACK))
    total = (total & 0xFFFF) + (total >> 16)
    return packed + struct.pack(">H", 0xFFFF ^ (total & 0xFFFF) + (total >> 16)) + 2 * _LOOPBACK + payload
