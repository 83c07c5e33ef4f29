"""Command and response APDUs as bytes: the seven cases, and all 256 class bytes against the standards' tables."""

import pytest
from helpers import IsoCla, iso_cla
from hypothesis import given, settings
from hypothesis import strategies as st

from bsim.apdu import CLAS, CommandApdu, ResponseApdu, SecureMessaging, body, cla_on_channel
from bsim.sw import SW, SwError
from bsim.tlv import Tlv

HEAD = b"\x80\x01\x02\x03"


def data(length: int) -> bytes:
    return bytes(at & 0xFF for at in range(length))


def be16(number: int) -> bytes:
    return (number & 0xFFFF).to_bytes(2, "big")


# ISO/IEC 7816-3 12.1.3: the case, its APDU, and what must be read from it.
CASES = [
    pytest.param(HEAD, b"", None, id="1"),
    *(pytest.param(HEAD + bytes((le & 0xFF,)), b"", le, id=f"2S, Le {le}") for le in (1, 0x7F, 0x80, 0xFF, 0x100)),
    *(
        pytest.param(HEAD + bytes((lc,)) + data(lc), data(lc), None, id=f"3S, Lc {lc}")
        for lc in (1, 2, 0x7F, 0x80, 0xFF)
    ),
    *(
        pytest.param(HEAD + bytes((lc,)) + data(lc) + bytes((le & 0xFF,)), data(lc), le, id=f"4S, Lc {lc}, Le {le}")
        for lc in (1, 0x7F, 0x80, 0xFF)
        for le in (1, 0xFF, 0x100)
    ),
    *(
        pytest.param(HEAD + b"\0" + be16(le), b"", le, id=f"2E, Le {le}")
        for le in (1, 0xFF, 0x100, 0x101, 0xFFFF, 0x10000)
    ),
    *(
        pytest.param(HEAD + b"\0" + be16(lc) + data(lc), data(lc), None, id=f"3E, Lc {lc}")
        for lc in (1, 2, 0xFF, 0x100, 0xFFFF)
    ),
    *(
        pytest.param(HEAD + b"\0" + be16(lc) + data(lc) + be16(le), data(lc), le, id=f"4E, Lc {lc}, Le {le}")
        for lc in (1, 0xFF, 0x100, 0xFFFF)
        for le in (1, 0x100, 0xFFFF, 0x10000)
    ),
]


@pytest.mark.parametrize(("raw", "contents", "le"), CASES)
def test_seven_cases(raw: bytes, contents: bytes, le: int | None) -> None:
    assert CommandApdu.parse(raw) == CommandApdu(*HEAD, contents, le)


@pytest.mark.parametrize(
    "raw",
    [
        *(HEAD[:size] for size in range(4)),
        HEAD + b"\x02\x00",  # Lc too long
        HEAD + b"\x02\x00\x00\x00\x00",  # Lc and Le, and a byte more
        HEAD + b"\xff" + bytes(254),
        HEAD + b"\xff" + bytes(257),
        HEAD + b"\0\x01",  # an extended length cut short
        HEAD + b"\0\0\0\0",  # extended Lc of 0
        HEAD + b"\0\0\0\0\0",
        HEAD + b"\0\0\x02\x00",  # extended Lc too long
        HEAD + b"\0\0\x02" + bytes(3),  # an extended Le of one byte
        HEAD + b"\0\0\x02" + bytes(5),
        HEAD + b"\0\x01\x00" + bytes(255),
    ],
)
def test_what_fits_no_case_is_refused(raw: bytes) -> None:
    with pytest.raises(SwError) as refusal:
        CommandApdu.parse(raw)
    assert refusal.value.sw == SW.WRONG_LENGTH


headers = st.tuples(*[st.integers(0, 255)] * 4)
lengths = st.sampled_from((0, 1, 0x7F, 0x80, 0xFE, 0xFF, 0x100, 0x101, 0x7FFF, 0xFFFF)) | st.integers(0, 600)
les = st.none() | st.sampled_from((1, 0x7F, 0x80, 0xFF, 0x100, 0x101, 0xFFFF, 0x10000)) | st.integers(1, 65_536)


@settings(max_examples=400, deadline=None, derandomize=True)
@given(headers, lengths, les)
def test_encode_and_parse_are_inverses(header: tuple[int, int, int, int], length: int, le: int | None) -> None:
    apdu = CommandApdu(*header, data(length), le)
    raw = apdu.encode()
    assert CommandApdu.parse(raw) == apdu
    # The shortest case: header, Lc, data, Le, each as long as it must be and no longer.
    short = length <= 255 and (le is None or le <= 256)
    lc_size = 0 if not length else 1 if short else 3
    le_size = 0 if le is None else 1 if short else 2 if length else 3
    assert len(raw) == 4 + lc_size + length + le_size


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.binary(max_size=300) | st.binary(max_size=12).map(lambda tail: HEAD + b"\0" + tail))
def test_parse_reads_or_refuses(raw: bytes) -> None:
    sw = None
    try:
        start, end, le = body(raw)
    except SwError as refusal:
        sw = refusal.sw
    if sw is not None:
        assert sw == SW.WRONG_LENGTH
        return
    assert 4 <= start <= end <= len(raw)
    assert le is None or 1 <= le <= 65_536
    # Nothing is left over: what is after the data is Le and nothing else.
    assert len(raw) - end == (0 if le is None or start == end else 2 if raw[4] == 0 else 1)


@pytest.mark.parametrize(
    "apdu",
    [
        CommandApdu(0, 0, 0, 0, bytes(65_536)),
        CommandApdu(0, 0, 0, 0, b"", 0),
        CommandApdu(0, 0, 0, 0, b"", 65_537),
    ],
)
def test_encode_refuses_what_no_case_holds(apdu: CommandApdu) -> None:
    with pytest.raises(ValueError, match="65,535 bytes, or Le outside"):
        apdu.encode()


@pytest.mark.parametrize("value", range(256))
def test_every_class_byte(value: int) -> None:
    found = CLAS[value]
    wanted = iso_cla(value)
    assert found.value == value
    assert found.valid == (wanted is not None)
    if wanted is None:
        return
    assert (found.channel, found.chaining) == (wanted.channel, wanted.chaining)
    # `base` is the class of the same kind on the basic channel, without chaining.
    assert iso_cla(found.base) == IsoCla(0, wanted.kind, False)
    assert found.base >> 7 == value >> 7
    messaging = wanted.kind[1] if value & 0xF0 != 0xA0 else 0
    assert found.secure_messaging == SecureMessaging(messaging)


def test_class_bytes_of_the_standards() -> None:
    """Values the standards or real clients write out, so that table and code cannot be wrong together."""
    known = {
        0x00: (0, 0x00, 0, False),
        0x03: (3, 0x00, 0, False),
        0x0C: (0, 0x0C, 3, False),
        0x10: (0, 0x00, 0, True),
        0x40: (4, 0x00, 0, False),
        0x4F: (19, 0x00, 0, False),
        0x50: (4, 0x00, 0, True),
        0x60: (4, 0x08, 2, False),
        0x7F: (19, 0x08, 2, True),
        0x80: (0, 0x80, 0, False),
        0x84: (0, 0x84, 1, False),
        0x93: (3, 0x80, 0, True),
        0xC0: (4, 0x80, 0, False),
        0xCF: (19, 0x80, 0, False),
        0xD0: (4, 0x80, 0, True),
        0xE0: (4, 0x84, 1, False),
        0xFE: (18, 0x84, 1, True),
        0xA0: (0, 0xA0, 0, False),
    }
    for value, expected in known.items():
        cla = CLAS[value]
        assert (cla.channel, cla.base, cla.secure_messaging, cla.chaining) == expected, f"{value:02X}"
        assert cla.valid
    for value in (0x20, 0x3F, 0xB0, 0xBF, 0xFF):
        assert not CLAS[value].valid


@pytest.mark.parametrize("base", [0x00, 0x80, 0x84])
def test_cla_on_channel(base: int) -> None:
    for channel in range(20):
        value = cla_on_channel(base, channel)
        assert iso_cla(value) == IsoCla(channel, iso_cla(base).kind, False)  # type: ignore[union-attr]


def test_cla_on_channel_that_cannot_be_coded() -> None:
    with pytest.raises(ValueError, match="no coding for channel 20"):
        cla_on_channel(0, 20)
    with pytest.raises(ValueError, match="class A0 has no coding for channel 4"):
        cla_on_channel(0xA0, 4)


@settings(deadline=None, derandomize=True)
@given(st.binary(max_size=600), st.integers(0, 0xFFFF))
def test_responses_there_and_back(contents: bytes, sw: int) -> None:
    response = ResponseApdu(contents, sw)
    assert ResponseApdu.parse(response.encode()) == response
    assert response.encode()[:-2] == contents
    assert response.ok == (sw == 0x9000 or 0x9100 <= sw <= 0x91FF)


@pytest.mark.parametrize("raw", [b"", b"\x90"])
def test_responses_too_short(raw: bytes) -> None:
    with pytest.raises(ValueError, match="at least two bytes"):
        ResponseApdu.parse(raw)


def test_repr_shows_no_data() -> None:
    command = CommandApdu(0x80, 0x7A, 0, 0, b"480716")
    assert "480716" not in repr(command)
    assert b"480716".hex() not in repr(command).lower()
    assert "480716" not in repr(Tlv(0x8D, b"480716"))
