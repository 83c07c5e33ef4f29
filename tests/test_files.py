"""The file system: its declaration, what SELECT tells, reading and writing, access rules, and making files."""

from itertools import product

import pytest
from helpers import SPEC, Judge, bare_card, exchange, expect, open_channel, select
from hypothesis import given, settings
from hypothesis import strategies as st

from bsim import tlv
from bsim.applets.file_tree import LAYOUT, MOST_CHANGED, decode, encode
from bsim.applets.subscriber import encode_contact, encode_imsi, encode_plmn
from bsim.profiles import check_iccid, personalisation, ram_card, subscription
from bsim.spec import access, contents, file_system
from bsim.spec.access import Condition, Mode
from bsim.spec.files import MF, FileSpec, Structure
from bsim.store import RamStore

FILES = file_system().files
ELEMENTARY = [file for file in FILES.values() if file.structure is not Structure.DIRECTORY]
EVERY = [pytest.param(file, id=file.name) for file in FILES.values()]
EVERY_EF = [pytest.param(file, id=file.name) for file in ELEMENTARY]
USIM = SPEC.applets["usim"].aids[0]
ADM, PIN1, PIN2 = b"88888888", b"1234\xff\xff\xff\xff", b"5678\xff\xff\xff\xff"
PINS = {0x01: PIN1, 0x81: PIN2, 0x0A: ADM}
# ETSI TS 102 221 11.1.1.3: what may be in a template; what real tools take.
FCP_TAGS = {0x82, 0x83, 0x84, 0xA5, 0x8A, 0x8B, 0x8C, 0x80, 0xAB, 0xC6, 0x81, 0x88}


def administered(**options) -> Judge:
    card = bare_card(**options)
    verify(card, 0x0A)
    return card


def verify(card, reference: int, sw: int = 0x9000) -> None:
    expect(card, "VERIFY_PIN", sw, reference=reference, pin=PINS[reference])


def go(card, path: bytes, *, on: int = 0, control: int = 0x04) -> bytes:
    """Select a file by its path, or its application and the path from there."""
    for application in file_system().applications():
        if path.startswith(application.path):
            select(card, application.aid, on=on)
            if path == application.path:
                return select(card, application.aid, on=on, control=control)
            rest = path[len(application.path) :]
            return expect(card, "SELECT", on=on, method="PATH_FROM_DF", control=control, identifier=rest)
    if path == MF:
        return expect(card, "SELECT", on=on, method="FILE_ID", control=control, identifier=MF)
    return expect(card, "SELECT", on=on, method="PATH_FROM_MF", control=control, identifier=path[2:])


def named(name: str) -> bytes:
    return file_system().named(name).path


def fcp(template: bytes) -> dict[int, bytes]:
    (outer,) = tlv.parse(template)
    assert outer.tag == 0x62
    return {part.tag: part.value for part in tlv.parse(outer.value)}


# The declaration.


@pytest.mark.parametrize("file", EVERY_EF)
def test_every_example_reads_as_declared(file: FileSpec):
    assert contents.read(file.layout, file.example) == file.meaning


@pytest.mark.parametrize("file", EVERY_EF)
def test_what_a_new_card_has_reads_too(file: FileSpec):
    card = bare_card()
    for reference in PINS:
        verify(card, reference, 0x6984 if reference == 0x01 else 0x9000)
    go(card, file.path)
    if file.structure is Structure.TRANSPARENT:
        assert contents.read(file.layout, expect(card, "READ_BINARY", high=0, low=0, le=256)) is not None
    elif file.record:
        for number in range(1, file.size // file.record + 1):
            record = expect(card, "READ_RECORD", number=number, control=4, le=256)
            assert len(record) == file.record
            if set(record) != {0xFF}:
                assert contents.read(file.layout, record) is not None


def test_identifiers_are_used_once():
    assert len({file.path for file in FILES.values()}) == len(FILES)
    for directory, children in file_system().children.items():
        short = [FILES[child].sfi for child in children if FILES[child].sfi]
        assert len(short) == len(set(short)), FILES[directory].name
        assert all(1 <= one <= 30 for one in short)


def test_what_tools_ask_for_is_there():
    wanted = ["2F00", "2F05", "2F06", "2FE2", "7F206F07", "7F206F78", "7F206FAD", "7F206F38", "7F106F42", "7F106F40"]
    assert all(MF + bytes.fromhex(path) in FILES for path in wanted)
    usim = next(file.path for file in file_system().applications())
    wanted = ["6F07", "6FAD", "6F38", "6F56", "6F78"]
    assert all(usim + bytes.fromhex(path) in FILES for path in wanted)
    wanted = ["6F31", "6F7B", "6FD9", "6F46", "6F3E", "6F3F", "6F08", "6F7E", "6F73"]
    assert all(usim + bytes.fromhex(path) in FILES for path in wanted)


@pytest.mark.parametrize("reader", ["nope", "imsi", "uri"])
def test_what_is_none_of_a_format_is_refused(reader: str):
    with pytest.raises(ValueError, match=r"no|data object"):
        contents.read(reader, b"\x09\xff")


# SELECT and STATUS.


@pytest.mark.parametrize("file", EVERY)
def test_every_template(file: FileSpec):
    card = bare_card()
    template = go(card, file.path)
    assert len(template) <= 127
    parts = fcp(template)
    assert parts.keys() <= FCP_TAGS
    assert parts[0x83] == file.path[-2:]
    assert parts[0x8A] == b"\x05"
    assert parts.get(0x84, b"") == file.aid
    descriptor = parts[0x82]
    assert descriptor[0] == file.structure
    if file.record:
        assert descriptor[2:] == file.record.to_bytes(2, "big") + bytes((file.size // file.record,))
    else:
        assert len(descriptor) == 2
    if file.structure is not Structure.DIRECTORY:
        assert parts[0x80] == file.size.to_bytes(2, "big")
        assert parts[0x88] == (bytes((file.sfi << 3,)) if file.sfi else b"")
    # STATUS tells of the directory. ETSI TS 102 221 11.1.2.
    directory = file.path if file.structure is Structure.DIRECTORY else file.path[:-2]
    assert fcp(expect(card, "STATUS", indication="NONE", form="FCP"))[0x83] == directory[-2:]


def test_what_a_file_identifier_reaches():
    """ETSI TS 102 221 8.4.1: children, the parent, its directories, the directory itself, the MF, the application."""
    card = bare_card()

    def fid(identifier: str, sw: int = 0x9000) -> None:
        expect(card, "SELECT", sw, method="FILE_ID", control=0x0C, identifier=bytes.fromhex(identifier))

    fid("6F07", 0x6A82)
    fid("7F20")
    fid("6F07")
    fid("7F20")  # the directory itself
    fid("7F10")  # its sibling
    fid("5F3B")
    fid("4F47")
    fid("7F10")  # the parent
    fid("2FE2", 0x6A82)  # a sibling that is no directory
    fid("3F00")
    fid("7FFF", 0x6A82)
    fid("7FF0", 0x6A82)  # an application is selected by its AID
    select(card, USIM)
    fid("6F46")
    fid("7FFF")
    fid("5FC0")
    fid("7FFF")
    fid("7F10")
    fid("3F00")
    fid("7FFF")


def test_by_path_by_parent_by_child():
    card = bare_card()
    expect(card, "SELECT", method="PATH_FROM_MF", control=0x0C, identifier=bytes.fromhex("7F105F3B"))
    expect(card, "SELECT", method="PARENT_DF", control=0x0C, identifier=b"")
    expect(card, "SELECT", method="CHILD_DF", control=0x0C, identifier=bytes.fromhex("5F3B"))
    expect(card, "SELECT", 0x6A82, method="CHILD_DF", control=0x0C, identifier=bytes.fromhex("4F47"))
    expect(card, "SELECT", method="PATH_FROM_DF", control=0x0C, identifier=bytes.fromhex("4F47"))
    expect(card, "SELECT", 0x6A82, method="PATH_FROM_MF", control=0x0C, identifier=bytes.fromhex("7FF06F07"))
    expect(card, "SELECT", 0x6A82, method="PATH_FROM_MF", control=0x0C, identifier=b"\x7f")
    select(card, USIM)
    expect(card, "SELECT", method="PATH_FROM_MF", control=0x0C, identifier=bytes.fromhex("7FFF6F07"))
    expect(card, "SELECT", method="PATH_FROM_MF", control=0x0C, identifier=b"")
    assert fcp(expect(card, "STATUS", indication="NONE", form="FCP"))[0x83] == MF
    assert expect(card, "STATUS", indication="NONE", form="DF_NAME") == b"\x84\x10" + USIM


@pytest.mark.parametrize("size", range(5, 17))
def test_applications_by_a_name_cut_short(size: int):
    card = bare_card()
    assert fcp(select(card, USIM[:size], control=4))[0x84] == USIM
    if size >= 7:
        isim = bytes.fromhex("A0000000871004FF86FFFF89FFFFFFFF")
        assert fcp(select(card, isim[:size], control=4))[0x84] == isim


def test_from_the_wallet_only_the_master_file_is_reached():
    card = bare_card()
    select(card)
    expect(card, "SELECT", 0x6A82, method="FILE_ID", control=0x0C, identifier=b"\x2f\xe2")
    assert exchange(card, "00B0000000") == (b"", 0x6D00)
    expect(card, "SELECT", method="PATH_FROM_MF", control=0x0C, identifier=b"\x2f\xe2")
    assert expect(card, "READ_BINARY", high=0, low=0, le=10).hex() == "985802031280889979f1"


def test_the_iccid_of_the_file_is_the_issuer_domains():
    card = bare_card()
    go(card, named("MF/EF.ICCID"))
    content = expect(card, "READ_BINARY", high=0, low=0, le=10)
    select(card, SPEC.applets["issuer"].aids[0])
    assert expect(card, "GET_ICCID", tag="ICCID")[2:] == content


def test_each_channel_is_somewhere_of_its_own():
    card = bare_card()
    open_channel(card, 1)
    go(card, named("MF/DF.GSM/EF.IMSI"))
    go(card, named("MF/EF.ICCID"), on=1)
    assert len(expect(card, "READ_BINARY", high=0, low=0, le=256)) == 9
    assert len(expect(card, "READ_BINARY", on=1, high=0, low=0, le=256)) == 10
    verify(card, 0x0A)
    expect(card, "READ_BINARY", on=1, high=0, low=0, le=256)
    open_channel(card, 4)
    expect(card, "READ_BINARY", 0x6986, on=4, high=0, low=0, le=256)


# Reading and writing.


def test_bytes_of_a_transparent_file():
    card = administered()
    go(card, named("ADF.USIM/EF.IMSI"))
    whole = expect(card, "READ_BINARY", high=0, low=0, le=256)
    for offset in range(9):
        assert expect(card, "READ_BINARY", high=0, low=offset, le=256) == whole[offset:]
        assert expect(card, "READ_BINARY", high=0, low=offset, le=1) == whole[offset : offset + 1]
    expect(card, "READ_BINARY", 0x6B00, high=0, low=9, le=1)
    expect(card, "READ_BINARY", 0x6B00, high=0x7F, low=0xFF, le=1)
    expect(card, "UPDATE_BINARY", 0x6700, high=0, low=8, data=b"ab")
    expect(card, "UPDATE_BINARY", high=0, low=7, data=b"ab")
    assert expect(card, "READ_BINARY", high=0, low=0, le=256) == whole[:7] + b"ab"
    expect(card, "READ_RECORD", 0x6981, number=1, control=4, le=256)


@pytest.mark.parametrize("file", [pytest.param(file, id=file.name) for file in ELEMENTARY if file.sfi])
def test_by_short_identifier(file: FileSpec):
    card = bare_card()
    go(card, file.path[:-2])
    if file.structure is Structure.TRANSPARENT:
        expect(card, "READ_BINARY", high=0x80 | file.sfi, low=0, le=256)
        expect(card, "READ_BINARY", high=0, low=0, le=256)  # it is the current file now
    elif file.record:
        expect(card, "READ_RECORD", number=1, control=file.sfi << 3 | 4, le=256)
        expect(card, "READ_RECORD", number=1, control=4, le=256)
    expect(card, "READ_BINARY", 0x6A82, high=0x9C, low=0, le=256)


def test_records_one_after_the_other():
    card = administered()
    go(card, named("MF/DF.TELECOM/EF.SMSR"))  # two records
    expect(card, "READ_RECORD", 0x6A83, number=0, control=4, le=256)
    assert expect(card, "READ_RECORD", number=0, control=2, le=256)[0] == 0
    expect(card, "UPDATE_RECORD", number=0, control=4, record=b"\1" * 30)
    assert expect(card, "READ_RECORD", number=0, control=2, le=256)[0] == 0
    expect(card, "READ_RECORD", 0x6A83, number=0, control=2, le=256)
    assert expect(card, "READ_RECORD", number=0, control=3, le=256)[0] == 1
    expect(card, "READ_RECORD", 0x6A83, number=0, control=3, le=256)
    expect(card, "READ_RECORD", 0x6A86, number=1, control=2, le=256)
    expect(card, "READ_RECORD", 0x6A83, number=3, control=4, le=256)
    expect(card, "READ_RECORD", 0x6C1E, number=1, control=4, le=29)
    expect(card, "UPDATE_RECORD", 0x6700, number=1, control=4, record=b"\1" * 29)
    expect(card, "READ_BINARY", 0x6981, high=0, low=0, le=256)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 0xFFFFFF), max_size=12))
def test_a_cyclic_file_holds_the_newest_first(values: list[int]):
    card = bare_card()
    verify(card, 0x81)
    go(card, named("ADF.USIM/EF.ACM"))
    model = [0] * 5
    for value in values:
        expect(card, "UPDATE_RECORD", number=0, control=3, record=value.to_bytes(3, "big"))
        model = [value, *model[:-1]]
        assert int.from_bytes(expect(card, "READ_RECORD", number=0, control=4, le=3), "big") == value
    records = [expect(card, "READ_RECORD", number=number, control=4, le=3) for number in range(1, 6)]
    assert [int.from_bytes(record, "big") for record in records] == model
    # Beyond the oldest is the newest again. ETSI TS 102 221 8.3.
    go(card, named("ADF.USIM/EF.ACM"))
    around = [expect(card, "READ_RECORD", number=0, control=2, le=3) for _ in range(6)]
    assert around == [*records, records[0]]
    expect(card, "UPDATE_RECORD", 0x6981, number=1, control=4, record=bytes(3))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(0, 0x7FFFFF), max_size=6))
def test_increase(values: list[int]):
    card = bare_card()
    go(card, named("ADF.USIM/EF.ACM"))
    total = 0
    for value in values:
        if total + value > 0xFFFFFF:
            expect(card, "INCREASE", 0x9850, sfi=0, value=value.to_bytes(3, "big"))
        else:
            total += value
            wanted = total.to_bytes(3, "big") + value.to_bytes(3, "big")
            assert expect(card, "INCREASE", sfi=0, value=value.to_bytes(3, "big")) == wanted
    assert int.from_bytes(expect(card, "READ_RECORD", number=1, control=4, le=3), "big") == total


def test_search():
    card = ram_card(personalisation(sim=subscription(contacts=[("Ann", "+8613"), ("Bob", "11"), ("Anna", "12")])))
    go(card, named("MF/DF.TELECOM/EF.ADN"))
    assert expect(card, "SEARCH_RECORD", number=1, control=4, pattern=b"Ann") == b"\1\3"
    assert expect(card, "SEARCH_RECORD", number=2, control=4, pattern=b"Ann") == b"\3"
    assert expect(card, "SEARCH_RECORD", number=2, control=5, pattern=b"Ann") == b"\1"
    assert expect(card, "READ_RECORD", number=0, control=4, le=32)[:3] == b"Ann", "the current record now"
    expect(card, "SEARCH_RECORD", 0x6282, number=1, control=4, pattern=b"Zoe")
    expect(card, "SEARCH_RECORD", 0x6A83, number=101, control=4, pattern=b"A")
    # Enhanced: forward from the next record, at an offset; and behind the first byte of a value.
    assert expect(card, "SEARCH_RECORD", number=0, control=6, pattern=b"\x06\x00Ann") == b"\3"
    assert expect(card, "SEARCH_RECORD", number=1, control=6, pattern=b"\x04\x02n") == b"\1\3"
    assert expect(card, "SEARCH_RECORD", number=1, control=6, pattern=b"\x0cAn") == b"\1\3"
    expect(card, "SEARCH_RECORD", 0x6A80, number=1, control=6, pattern=b"\x00\x00n")
    expect(card, "SEARCH_RECORD", 0x6700, number=1, control=6, pattern=b"n")


def test_data_objects():
    card = bare_card()
    go(card, named("MF/DF.TELECOM/DF.MULTIMEDIA/EF.MMDF"))
    big = tlv.encode(0x82, bytes(range(256)) * 3)
    blocks = [big[at : at + 255] for at in range(0, len(big), 255)]
    for number, block in enumerate(blocks):
        last = number == len(blocks) - 1
        which = "NEXT" if number else "FIRST"
        expect(card, "SET_DATA", 0x9000 if last else 0x63F1, block=which, data=block)
    expect(card, "SET_DATA", block="FIRST", data=b"\x81\x01\x05")
    expect(card, "SET_DATA", 0x6985, block="NEXT", data=b"\0")
    got = b""
    for number in range(len(blocks)):
        last = number == len(blocks) - 1
        sw = 0x9000 if last else 0x62F1
        got += expect(card, "RETRIEVE_DATA", sw, block="NEXT" if number else "FIRST", tag=b"" if number else b"\x82")
    assert got == big
    expect(card, "RETRIEVE_DATA", 0x6985, block="NEXT", tag=b"")
    assert expect(card, "RETRIEVE_DATA", block="FIRST", tag=b"\x81") == b"\x81\x01\x05"
    expect(card, "SET_DATA", block="FIRST", data=b"\x81\x00")  # without a value it is taken away
    expect(card, "RETRIEVE_DATA", 0x6A88, block="FIRST", tag=b"\x81")
    expect(card, "READ_BINARY", 0x6981, high=0, low=0, le=1)


# Access rules.


def allowed(needs: Condition, verified: set[int]) -> bool:
    return needs.holds(lambda key: key in verified)


@pytest.mark.parametrize("file", EVERY_EF)
def test_access_to_every_file_with_every_pin(file: FileSpec):
    """PIN1 is asked for; every combination of PINs; READ and UPDATE answer as the file's record of EF.ARR says."""
    arr = FILES[next(p for p in (file.path[:at] + file.rule[:2] for at in (-2, -4, -6)) if p in FILES)]
    record = arr.content[(file.rule[2] - 1) * arr.record : file.rule[2] * arr.record]
    rules = access.parse(record)
    for chosen in product((False, True), repeat=3):
        verified = {reference for reference, on in zip(PINS, chosen, strict=True) if on}
        card = ram_card(personalisation(blank=True, sim=subscription(pin1="1234")))
        for reference in verified:
            verify(card, reference)
        go(card, file.path)
        read = 0x9000 if allowed(access.condition(rules, Mode.READ), verified) else 0x6982
        update = 0x9000 if allowed(access.condition(rules, Mode.UPDATE), verified) else 0x6982
        if file.structure is Structure.TRANSPARENT:
            expect(card, "READ_BINARY", read, high=0, low=0, le=1)
            expect(card, "UPDATE_BINARY", update, high=0, low=0, data=b"\xff")
        elif file.record:
            mode = 3 if file.structure is Structure.CYCLIC else 2
            expect(card, "READ_RECORD", read, number=1, control=4, le=256)
            expect(card, "UPDATE_RECORD", update, number=0, control=mode, record=b"\xff" * file.record)
        else:
            expect(card, "SET_DATA", update, block="FIRST", data=b"\x81\x01\x00")
            expect(
                card,
                "RETRIEVE_DATA",
                read if read == 0x6982 or update == 0x9000 else 0x6A88,
                block="FIRST",
                tag=b"\x81",
            )


def test_a_changed_rule_is_the_rule():
    card = administered()
    arr = file_system().named("MF/EF.ARR")
    rule = access.encode({Mode.READ: access.NEVER, Mode.UPDATE: Condition(key=0x0A)})
    go(card, arr.path)
    expect(card, "UPDATE_RECORD", number=7, control=4, record=rule.ljust(arr.record, b"\xff"))
    go(card, named("MF/EF.PL"))
    expect(card, "READ_BINARY", 0x6982, high=0, low=0, le=1)
    expect(card, "UPDATE_BINARY", high=0, low=0, data=b"en")
    go(card, arr.path)
    expect(card, "UPDATE_RECORD", number=7, control=4, record=b"\x80" * arr.record)  # no rule at all
    go(card, named("MF/EF.PL"))
    expect(card, "UPDATE_BINARY", 0x6982, high=0, low=0, data=b"zh")


OF_FILES = [Mode.READ, Mode.UPDATE, Mode.DEACTIVATE, Mode.ACTIVATE, Mode.DELETE, Mode.INCREASE, Mode.RESIZE]
conditions = st.recursive(
    st.one_of(st.just(access.ALWAYS), st.just(access.NEVER), st.builds(Condition, key=st.integers(1, 255))),
    lambda inner: st.one_of(
        st.builds(Condition, some=st.lists(inner, min_size=1, max_size=3).map(tuple)),
        st.builds(Condition, every=st.lists(inner, min_size=1, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)


@settings(max_examples=50, deadline=None)
@given(
    st.dictionaries(st.sampled_from(OF_FILES), conditions, max_size=5),
    st.sets(st.integers(1, 255)),
)
def test_rules_are_read_as_they_are_written(rule: dict[Mode, Condition], verified: set[int]):
    read = access.parse(access.encode(rule))
    for mode, needs in rule.items():
        assert allowed(access.condition(read, mode), verified) == allowed(needs, verified)


# Switching, making and removing files.


def test_a_deactivated_file():
    card = administered()
    go(card, named("ADF.USIM/EF.HPPLMN"))
    expect(card, "DEACTIVATE_FILE", identifier=b"")
    for command, values in (("READ_BINARY", {"le": 1}), ("UPDATE_BINARY", {"data": b"\1"})):
        expect(card, command, 0x6984, high=0, low=0, **values)
    card.reset()
    select(card, USIM)
    template = expect(card, "SELECT", 0x6283, method="FILE_ID", control=4, identifier=b"\x6f\x31")
    assert fcp(template)[0x8A] == b"\x04"
    expect(card, "ACTIVATE_FILE", 0x6982, identifier=b"")
    verify(card, 0x0A)
    expect(card, "ACTIVATE_FILE", identifier=b"")
    expect(card, "READ_BINARY", high=0, low=0, le=1)
    expect(card, "DEACTIVATE_FILE", 0x6A82, identifier=b"\x6f\xff")
    expect(card, "DEACTIVATE_FILE", 0x6700, identifier=b"\x6f")


def template(*parts: tuple[int, bytes]) -> bytes:
    return tlv.encode(0x62, b"".join(tlv.encode(tag, value) for tag, value in parts))


def made(fid: str, descriptor: str, size: int, **other: str) -> bytes:
    rule = bytes.fromhex(other.get("rule", "2F0601"))
    parts = [(0x82, bytes.fromhex(descriptor)), (0x83, bytes.fromhex(fid)), (0x8A, b"\x05"), (0x8B, rule)]
    parts += [(0x80, size.to_bytes(2, "big"))] if size else []
    parts += [(0x88, bytes.fromhex(other["sfi"]))] if "sfi" in other else []
    return template(*parts)


@pytest.mark.parametrize(
    ("descriptor", "size"), [("4121", 40), ("4221000A", 50), ("4621000A", 50), ("7921", 200), ("7821", 0)]
)
def test_a_file_of_each_structure_is_made_and_removed(descriptor: str, size: int):
    card = bare_card()
    expect(card, "CREATE_FILE", 0x6982, template=made("2FE5", descriptor, size))
    verify(card, 0x0A)
    expect(card, "CREATE_FILE", template=made("2FE5", descriptor, size))
    expect(card, "CREATE_FILE", 0x6982 if descriptor == "7821" else 0x6A89, template=made("2FE5", descriptor, size))
    card.reset()
    parts = fcp(go(card, MF + b"\x2f\xe5"))
    assert parts[0x82][0] == int(descriptor[:2], 16)
    verify(card, 0x0A)
    expect(card, "SELECT", method="FILE_ID", control=0x0C, identifier=MF)
    expect(card, "DELETE_FILE", identifier=b"\x2f\xe5")
    expect(card, "SELECT", 0x6A82, method="FILE_ID", control=0x0C, identifier=b"\x2f\xe5")


def test_a_directory_with_files_in_it():
    card = administered()
    expect(card, "CREATE_FILE", template=made("5F77", "7821", 0, rule="2F0608"))
    expect(card, "CREATE_FILE", template=made("4F01", "4121", 4, sfi="08"))
    expect(card, "UPDATE_BINARY", high=0x81, low=0, data=b"abcd")
    expect(card, "CREATE_FILE", 0x6A89, template=made("4F02", "4121", 4, sfi="08"))
    expect(card, "SELECT", method="FILE_ID", control=0x0C, identifier=MF)
    open_channel(card, 1)
    go(card, MF + bytes.fromhex("5F774F01"), on=1)
    expect(card, "DELETE_FILE", identifier=b"\x5f\x77")
    expect(card, "READ_BINARY", 0x6986, on=1, high=0, low=0, le=4)
    assert fcp(expect(card, "STATUS", on=1, indication="NONE", form="FCP"))[0x83] == MF
    # What came with the card can go too, but for what its rule keeps.
    expect(card, "DELETE_FILE", 0x6982, identifier=b"\x2f\xe2")
    expect(card, "DELETE_FILE", identifier=b"\x7f\x10")
    expect(card, "SELECT", 0x6A82, method="PATH_FROM_MF", control=0x0C, identifier=bytes.fromhex("7F106F3A"))
    expect(card, "CREATE_FILE", template=made("7F10", "7821", 0, rule="2F0608"))
    expect(card, "SELECT", 0x6A82, method="FILE_ID", control=0x0C, identifier=b"\x6f\x3a")
    expect(card, "SELECT", method="FILE_ID", control=0x0C, identifier=MF)
    expect(card, "DELETE_FILE", 0x6982, identifier=b"\x7f\xf0")


@pytest.mark.parametrize(
    "bad",
    [
        b"\x62\x00",
        b"\x61\x02\x82\x00",
        made("2FE5", "4121", 0),
        made("2FE5", "4221", 10),
        made("2FE5", "4221000B", 50),
        made("2FE5", "0121", 10),
        made("2FE5", "41210001", 10),
        made("2FE5", "4121", 0x8000),
        made("2FE5", "4221000100", 300),
        made("2F", "4121", 10),
        made("2FE5", "4121", 10, rule="01"),
    ],
)
def test_templates_that_are_none(bad: bytes):
    expect(administered(), "CREATE_FILE", 0x6A80, template=bad)


def test_resize():
    card = administered()
    path = named("ADF.USIM/EF.FPLMN")
    go(card, path[:-2])
    for size in (24, 6, 12):
        expect(card, "RESIZE_FILE", template=template((0x83, path[-2:]), (0x80, size.to_bytes(2, "big"))))
        assert len(expect(card, "READ_BINARY", high=0x8D, low=0, le=256)) == size
    wrong = {b"\x6f\x39": 0x6981, b"\x5f\x3b": 0x6981, b"\x6f\xff": 0x6A82, b"\x6f\x3b": 0x6A80}
    for fid, sw in wrong.items():
        expect(card, "RESIZE_FILE", sw, template=template((0x83, fid), (0x80, b"\x00\x05")))
    expect(card, "RESIZE_FILE", 0x6A80, template=template((0x83, path[-2:])))


def test_the_memory_is_full_some_time():
    card = administered()
    sws = set()
    for number in range(4):
        raw = made(f"2E{number:02X}", "4121", 0x4000)
        sws.add(exchange(card, b"\0\xe0\0\0" + bytes((len(raw),)) + raw)[1])
        expect(card, "SELECT", method="FILE_ID", control=0x0C, identifier=MF)
    assert sws == {0x9000, 0x6A84}
    assert int.from_bytes(fcp(go(card, MF))[0xA5][-4:], "big") < MOST_CHANGED


# What is kept.


def test_only_differences_are_kept():
    store = RamStore()
    card = administered(store=store)
    assert store.read()["files.changed"] == b""
    go(card, named("ADF.USIM/EF.FPLMN"))
    expect(card, "UPDATE_BINARY", high=0, low=0, data=b"\x64\xf0\x00")
    assert 0 < len(store.read()["files.changed"]) < 40
    expect(card, "DEACTIVATE_FILE", identifier=b"")
    expect(card, "ACTIVATE_FILE", identifier=b"")
    expect(card, "UPDATE_BINARY", high=0, low=0, data=b"\xff\xff\xff")
    assert store.read()["files.changed"] == b"", "as on a new card"


def test_what_differs_round_trips():
    store = RamStore()
    card = administered(store=store)
    expect(card, "CREATE_FILE", template=made("2FE5", "4221000A", 50))
    expect(card, "DELETE_FILE", identifier=b"\x2f\x05")
    raw = store.read()["files.changed"]
    assert encode(decode(raw)) == raw
    for cut in range(1, len(raw)):
        try:
            assert decode(raw[:cut]) != decode(raw)
        except ValueError:
            continue
    assert LAYOUT.load({}).changed == {}


# Content of one subscriber.


def test_content_from_a_profile():
    sim = subscription(
        imsi="460110123456789",
        msisdn="+8618900000001",
        name="天翼",
        centre="+8613800100500",
        networks=["460-11", "310-410"],
        contacts=[("客服", "10000"), ("Ann", "+442079460000")],
    )
    card = ram_card(personalisation(iccid="8985203021088899971", sim=sim))

    def read(name: str) -> str:
        file = file_system().named(name)
        go(card, file.path)
        if file.record:
            return contents.read(file.layout, expect(card, "READ_RECORD", number=1, control=4, le=256))
        return contents.read(file.layout, expect(card, "READ_BINARY", high=0, low=0, le=256))

    assert read("MF/EF.ICCID") == "8985203021088899971"
    assert read("ADF.USIM/EF.IMSI") == read("MF/DF.GSM/EF.IMSI") == "460110123456789"
    assert read("ADF.USIM/EF.MSISDN") == ": +8618900000001"
    assert read("ADF.USIM/EF.SPN") == "天翼, display 01"
    assert read("MF/DF.TELECOM/EF.SMSP") == ": centre +8613800100500"
    assert read("ADF.USIM/EF.EHPLMN") == "460-11"
    assert read("ADF.USIM/EF.PLMNwAcT") == "460-11:FFFF 310-410:FFFF"
    assert read("MF/DF.GSM/EF.PLMNsel") == "460-11 310-410"
    assert read("ADF.USIM/EF.AD") == "mode 00, MNC of 2 digits"
    assert read("ADF.USIM/EF.ACC") == "9"
    assert read("MF/DF.TELECOM/EF.ADN") == "客服: 10000"
    assert read("ADF.ISIM/EF.IMPI") == "460110123456789@ims.mnc011.mcc460.3gppnetwork.org"


def test_a_subscriber_of_the_test_network():
    card = bare_card()
    go(card, named("ADF.USIM/EF.IMSI"))
    assert contents.read("imsi", expect(card, "READ_BINARY", high=0, low=0, le=9)) == "001012108889997"
    other = ram_card(personalisation(iccid="8985203021088899971", sim=subscription(network="460-11")))
    go(other, named("ADF.USIM/EF.IMSI"))
    assert contents.read("imsi", expect(other, "READ_BINARY", high=0, low=0, le=9)) == "460112108889997"


@settings(deadline=None)
@given(st.text("0123456789", min_size=6, max_size=15))
def test_imsis_round_trip(digits: str):
    assert contents.read("imsi", encode_imsi(digits).ljust(9, b"\xff")) == digits


@settings(deadline=None)
@given(st.text("0123456789", min_size=5, max_size=6))
def test_networks_round_trip(digits: str):
    assert contents.read("plmns", encode_plmn(digits)) == f"{digits[:3]}-{digits[3:]}"


@settings(deadline=None)
@given(st.from_regex(r"\A\+?[0-9]{1,20}\Z", fullmatch=True))
def test_contacts_round_trip(number: str):
    assert contents.read("contact", encode_contact("Ann", number)) == f"Ann: {number}"


@pytest.mark.parametrize(
    "wrong",
    [
        {"imsi": "12345"},
        {"imsi": "46011012345678X"},
        {"imsi": "460110123456789", "network": "460-11"},
        {"msisdn": "12 34"},
        {"name": "a" * 17},
        {"network": "46"},
        {"networks": ["460-11"] * 9},
        {"ki": "00"},
        {"opc": "zz"},
        {"op": "00" * 16, "opc": "00" * 16},
        {"algorithm": "comp128"},
        {"pin1": "123"},
        {"puk1": "1234567"},
        {"contacts": [("Ann", "x")]},
        {"contacts": [("Ann", "1")] * 101},
    ],
)
def test_what_no_subscriber_can_be(wrong):
    with pytest.raises(ValueError, match=r"[a-z]{3}"):
        subscription(**wrong)


@pytest.mark.parametrize("iccid", ["8985203021088899972", "898520302108889997", "89852030210888999711", "x" * 19])
def test_iccids_are_checked(iccid: str):
    with pytest.raises(ValueError, match=r"ICCID"):
        check_iccid(iccid)
