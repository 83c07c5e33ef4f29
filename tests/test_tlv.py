"""BER-TLV, SIMPLE-TLV and COMPREHENSION-TLV: one encoding for each value, and a refusal for everything else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bsim.sw import SW
from bsim.tlv import (
    Tlv,
    TlvError,
    encode,
    encode_length,
    encode_simple,
    parse,
    parse_comprehension,
    parse_simple,
)


def ber_tags() -> st.SearchStrategy[int]:
    one = st.integers(1, 0xFE).filter(lambda tag: tag & 0x1F != 0x1F)
    lead = st.sampled_from((0x1F, 0x3F, 0x5F, 0x7F, 0x9F, 0xBF, 0xDF))
    two = st.builds(lambda a, b: a << 8 | b, lead, st.integers(0x1F, 0x7F))
    three = st.builds(lambda a, b, c: a << 16 | b << 8 | c, lead, st.integers(0x81, 0xFF), st.integers(0, 0x7F))
    return one | two | three


@pytest.mark.parametrize(
    ("length", "encoded"),
    [
        (0, "00"),
        (0x7F, "7F"),
        (0x80, "8180"),
        (0xFF, "81FF"),
        (0x100, "820100"),
        (0xFFFF, "82FFFF"),
        (0x10000, "83010000"),
        (0xFFFFFF, "83FFFFFF"),
    ],
)
def test_ber_lengths_at_their_boundaries(length: int, encoded: str) -> None:
    assert encode_length(length).hex().upper() == encoded


@pytest.mark.parametrize("length", [0, 0x7F, 0x80, 0xFF, 0x100, 0xFFFF, 0x10000])
def test_values_at_the_boundaries(length: int) -> None:
    value = bytes(at & 0xFF for at in range(length))
    assert parse(encode(0xC2, value)) == [Tlv(0xC2, value)]
    assert Tlv(0xC2, value).encode() == encode(0xC2, value)


def test_lengths_beyond_three_bytes_are_not_written() -> None:
    with pytest.raises(ValueError, match="at most three bytes"):
        encode_length(0x1000000)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.builds(Tlv, ber_tags(), st.binary(max_size=300)), max_size=6))
def test_ber_there_and_back(objects: list[Tlv]) -> None:
    assert parse(b"".join(item.encode() for item in objects)) == objects


@settings(max_examples=2000, deadline=None, derandomize=True)
@given(st.binary(max_size=24))
def test_ber_has_one_encoding(raw: bytes) -> None:
    """Whatever is read is written back to the same bytes, so no two byte strings mean the same."""
    try:
        objects = parse(raw)
    except TlvError:
        return
    assert b"".join(item.encode() for item in objects) == raw


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("00", "no BER-TLV tags"),
        ("0000", "no BER-TLV tags"),
        ("FF00", "no BER-TLV tags"),
        ("C20000", "no BER-TLV tags"),  # padding after an object
        ("C2", "a length is missing"),
        ("C201", "cut short"),
        ("C20201", "cut short"),
        ("C280", "one to four bytes"),  # the indefinite form
        ("C2800000", "one to four bytes"),
        ("C2817F" + "00" * 0x7F, "longer than need be"),
        ("C28100", "longer than need be"),
        ("C2820080" + "00" * 0x80, "longer than need be"),
        ("C282007F" + "00" * 0x7F, "longer than need be"),
        ("C283000100" + "00" * 0x100, "longer than need be"),
        ("C28400000000", "one to four bytes"),
        ("C2FF", "one to four bytes"),
        ("C281", "one to four bytes"),
        ("C28201", "one to four bytes"),
        ("1F", "a tag is cut short"),
        ("1F1E00", "a tag is longer than need be"),
        ("1F0000", "a tag is longer than need be"),
        ("1F800100", "a tag is longer than need be"),
        ("1F81", "a tag is cut short"),
        ("1F818100", "at most three bytes"),
    ],
)
def test_ber_refusals(raw: str, reason: str) -> None:
    with pytest.raises(TlvError, match=reason):
        parse(bytes.fromhex(raw))


def test_ber_tags_at_their_boundaries() -> None:
    assert parse(bytes.fromhex("1E00 5F1F00 9F7F00 DF810000 DFFF7F00")) == [
        Tlv(0x1E, b""),
        Tlv(0x5F1F, b""),
        Tlv(0x9F7F, b""),
        Tlv(0xDF8100, b""),
        Tlv(0xDFFF7F, b""),
    ]


def test_refusals_are_6a80_on_a_card() -> None:
    assert TlvError("why").sw == SW.WRONG_DATA


def test_ber_objects_are_bounded() -> None:
    assert len(parse(b"\xc2\x00" * 3, most=3)) == 3
    with pytest.raises(TlvError, match="more than 3 data objects"):
        parse(b"\xc2\x00" * 4, most=3)
    with pytest.raises(TlvError, match="more than 4096"):
        parse(b"\xc2\x00" * 4097)


@settings(deadline=None, derandomize=True)
@given(st.lists(st.builds(Tlv, st.integers(1, 0xFE), st.binary(max_size=254)), max_size=6))
def test_simple_there_and_back(objects: list[Tlv]) -> None:
    assert parse_simple(b"".join(encode_simple(item.tag, item.value) for item in objects)) == objects


@pytest.mark.parametrize("length", [0, 0x7F, 0x80, 0xFE])
def test_simple_lengths_are_one_byte(length: int) -> None:
    assert encode_simple(0xB1, bytes(length)) == bytes((0xB1, length)) + bytes(length)
    assert parse_simple(bytes((0xB1, length)) + bytes(length)) == [Tlv(0xB1, bytes(length))]


def test_simple_refuses_to_write_what_has_no_one_byte_length() -> None:
    with pytest.raises(ValueError, match="254 bytes"):
        encode_simple(0xB1, bytes(255))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("0000", "no SIMPLE-TLV tags"),
        ("FF00", "no SIMPLE-TLV tags"),
        ("B1", "cut short"),
        ("B101", "cut short"),
        ("B1FF" + "00" * 255, "cut short"),
        ("B100B2", "cut short"),
        ("B10000", "no SIMPLE-TLV tags"),
    ],
)
def test_simple_refusals(raw: str, reason: str) -> None:
    with pytest.raises(TlvError, match=reason):
        parse_simple(bytes.fromhex(raw))


@settings(deadline=None, derandomize=True)
@given(
    st.lists(
        st.tuples(st.integers(1, 0x7E), st.booleans(), st.binary(max_size=300)),
        max_size=5,
    )
)
def test_comprehension_there_and_back(objects: list[tuple[int, bool, bytes]]) -> None:
    """The comprehension bit says what a terminal must do that does not know the tag; the tag is the same without it."""
    raw = b"".join(
        bytes((tag | (0x80 if required else 0),)) + encode_length(len(value)) + value
        for tag, required, value in objects
    )
    assert list(parse_comprehension(raw)) == [Tlv(tag, value) for tag, _, value in objects]


@pytest.mark.parametrize("raw", ["00", "80", "7F", "FF", "81", "8101", "81817F", "8180", "810100" + "02"])
def test_comprehension_refusals(raw: str) -> None:
    with pytest.raises(TlvError):
        list(parse_comprehension(bytes.fromhex(raw)))


@settings(max_examples=1000, deadline=None, derandomize=True)
@given(st.binary(max_size=24))
def test_every_parser_reads_or_refuses(raw: bytes) -> None:
    for parser in (parse, parse_simple, parse_comprehension):
        try:
            found = list(parser(raw))
        except TlvError:
            continue
        assert sum(len(item.value) for item in found) <= len(raw)
