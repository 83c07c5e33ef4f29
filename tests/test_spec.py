"""The declaration: what is read, what is refused and how it is told, and code that does not fit it."""

from collections.abc import Callable
from enum import IntEnum
from pathlib import Path

import pytest
from helpers import COMMANDS, SPEC

from bsim import sw as status
from bsim.applets.base import Binding, BindingError
from bsim.applets.session import Session
from bsim.spec import Kind, SpecError, encode, spec, sw_matches
from bsim.spec.load import load
from bsim.sw import SW, SwError, describe

GOOD = """
[applet]
name = "one"
title = "One"
aids = ["F000000001"]
reference = "none"

[common]
"6D00" = "no"

[conditions]
ready = "it is ready"

[rights]
owner = "it is its owner's"

[[command]]
name = "DO"
title = "Do it"
source = "chosen"
danger = "safe"
reference = "none"
cla = "80"
ins = "10"
p1 = { name = "how", values = { WELL = "01", BADLY = "02" } }
p2 = { name = "number", range = "00..02 10" }
when = ["ready"]
needs = ["owner"]
data = [
  { name = "colour", type = "u8", values = { RED = "01", BLUE = "02" } },
  { name = "amount", type = "u16" },
  { name = "rest", type = "bytes", length = "0..4" },
]
response = [{ name = "answer", type = "bytes", length = "1..3" }]
sw = { "9000" = "done", "63C*" = "tries" }
[[command.example]]
title = "Once"
command = "8010 0100 03 01 0002"
response = "AA .."
sw = "9000"
"""


def read(tmp_path: Path, text: str, name: str = "one.toml") -> object:
    (tmp_path / name).write_text(text)
    return load(tmp_path)


def test_what_is_declared_is_what_is_read(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD)
    assert found.common == {"6D00": "no"}  # type: ignore[attr-defined]
    command = found.applets["one"].commands["DO"]  # type: ignore[attr-defined]
    assert (command.cla, command.ins) == ((0x80,), 0x10)
    assert command.p1.legal == (1, 2)
    assert command.p2.legal == (0, 1, 2, 0x10)
    assert command.fields == ("how", "number", "colour", "amount", "rest")
    assert (command.lc_minimum, command.lc_maximum, command.response_maximum) == (3, 7, 3)
    assert command.allows(0x9000)
    assert command.allows(0x63C7)
    assert not command.allows(0x6D00)
    assert found.allows(command, 0x6D00)  # type: ignore[attr-defined]
    assert found.allows(None, 0x6D00)  # type: ignore[attr-defined]
    assert not found.allows(None, 0x9000)  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[applet]", "[applet", "one.toml: "),
        ('title = "One"', "title = 1", "one.toml, applet: title must be text"),
        ('title = "Do it"\n', "", "title must be text"),
        ('source = "chosen"', 'source = "guessed"', "guessed"),
        ('danger = "safe"', 'danger = "harmless"', "harmless"),
        ('danger = "safe"', "", "danger must be text"),
        ('cla = "80"', 'cla = "8"', "'8' is not hexadecimal"),
        ('cla = "80"', 'cla = "8000"', "'8000' is not one byte"),
        ('cla = "80"\n', "", "cla is missing"),
        ('ins = "10"', 'ins = "XY"', "'XY' is not hexadecimal"),
        ('aids = ["F000000001"]', 'aids = ["F00"]', "is not hexadecimal"),
        ('aids = ["F000000001"]', "aids = [1]", "aids must be a list of texts"),
        ('when = ["ready"]', 'when = ["steady"]', "steady is not declared at the top"),
        ('needs = ["owner"]', 'needs = ["owner", "thief"]', "thief is not declared at the top"),
        ('"63C*" = "tries"', '"63C" = "tries"', "63C is no status word"),
        ('length = "0..4"', 'length = "4..0"', "'4..0' is no length"),
        ('length = "0..4"', 'length = "some"', "'some' is no length"),
        ('type = "u16"', 'type = "u24"', "u24"),
        ('type = "u16"', 'type = "bytes", length = "1..2"', "only the last field may vary"),
        ('type = "u16"', 'type = "tlv", tag = "B1", length = "2"', "either all TLV or none"),
        ('type = "u16"', 'type = "u16", color = "red"', "unknown key color"),
        ("[[command.example]]", "chaining = 1\n[[command.example]]", "chaining must be true or false"),
        ("[[command.example]]", "colour = 1\n[[command.example]]", "unknown key colour"),
        ("[rights]", '[wrongs]\na = "b"\n[rights]', "unknown key wrongs"),
        ('response = "AA .."\nsw = "9000"', 'sw = "9001"', "the example's 9001 is not among its status words"),
        ('title = "Once"', 'title = "Once"\ngiven = ["DONE"]', "there is no example DONE"),
        ('title = "Once"', 'title = "Once"\ngiven = ["DO.2"]', "there is no example DO.2"),
        ("data = [", "data = 1\nmore = [", "data must be a list of tables"),
        ("data = [", "data = [1,", "a table is wanted"),
        (GOOD[GOOD.index("[[command.example]]") :], "", "at least one example is wanted"),
        ("[[command]]", GOOD[GOOD.index("[[command]]") :] + "[[command]]", "DO is declared twice"),
    ],
)
def test_faults_are_told_by_file_and_entry(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in GOOD
    with pytest.raises(ValueError, match=reason) as fault:
        read(tmp_path, GOOD.replace(old, new, 1))
    assert isinstance(fault.value, SpecError) or "is not a valid" in str(fault.value)


def test_files_that_are_no_toml_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("# not a declaration")
    assert list(read(tmp_path, GOOD).applets) == ["one"]  # type: ignore[attr-defined]


def test_what_ships_is_read_once() -> None:
    assert spec() is spec()
    assert set(SPEC.applets) >= {"uicc", "issuer", "wallet", "usim", "gsm"}
    assert len(COMMANDS) == sum(len(applet.commands) for applet in SPEC.applets.values()), "names are used once"


def test_nothing_that_was_read_can_be_changed() -> None:
    command = COMMANDS["SIGN"]
    with pytest.raises(AttributeError):
        command.ins = 0  # type: ignore[misc]
    with pytest.raises(TypeError):
        SPEC.applets["wallet"].commands["SIGN"] = command  # type: ignore[index]


@pytest.mark.parametrize(
    ("pattern", "sw", "fits"),
    [
        ("9000", 0x9000, True),
        ("63C*", 0x63C0, True),
        ("63C*", 0x63B0, False),
        ("91**", 0x9100, True),
        ("91**", 0x9200, False),
    ],
)
def test_sw_patterns(pattern: str, sw: int, fits: bool) -> None:
    assert sw_matches(pattern, sw) is fits


def test_lengths_of_fields_count_their_tags() -> None:
    """RESTORE SEED: B1 with 1 to 255 bytes (from 128 on a length of two), B2 with 61 to 77."""
    command = COMMANDS["RESTORE_SEED"]
    assert command.lc_minimum == (2 + 1) + (2 + 61)
    assert command.lc_maximum == (3 + 255) + (2 + 77)


# From fields to an APDU.


def test_encode(tmp_path: Path) -> None:
    command = read(tmp_path, GOOD).applets["one"].commands["DO"]  # type: ignore[attr-defined]
    values = {"how": 2, "number": 0x10, "colour": 1, "amount": 0x1234, "rest": b"abc"}
    assert encode(command, values).encode() == bytes.fromhex("8010 0210 06 01 1234 616263")
    assert encode(COMMANDS["GET_VERSION"], {}).encode() == bytes.fromhex("00CA000000")
    assert encode(COMMANDS["VERIFY_BPIN"], {}).encode() == bytes.fromhex("807C0000")
    assert encode(COMMANDS["FETCH"], {"le": 32}).encode() == bytes.fromhex("8012000020")
    restore = {"key2": b"k", "ciphertext": bytes(61)}
    assert encode(COMMANDS["RESTORE_SEED"], restore).encode() == bytes.fromhex("8076000142 B1016B B23D") + bytes(61)


@pytest.mark.parametrize(
    ("name", "values", "reason"),
    [
        ("SIGN", {"coin_type": 60, "slot": 1}, "digest are missing or not declared"),
        ("GET_VERSION", {"le": 2}, "le are missing or not declared"),
        ("SIGN", {"coin_type": 2**32, "slot": 1, "digest": b""}, "coin_type does not take this number"),
        ("SIGN", {"coin_type": -1, "slot": 1, "digest": b""}, "coin_type does not take this number"),
        ("SIGN", {"coin_type": b"1234", "slot": 1, "digest": b""}, "coin_type has 4 bytes"),
        ("SIGN", {"coin_type": 60, "slot": 1, "digest": 5}, "digest does not take this number"),
        ("SIGN", {"coin_type": 60, "slot": 1, "digest": bytes(251)}, "digest has 0 to 250 bytes"),
        ("EXPORT_PUBKEYS", {"part": 2}, "part cannot be 2"),
        ("EXPORT_PUBKEYS", {"part": b"\0"}, "part cannot be"),
    ],
)
def test_fields_that_do_not_fit(name: str, values: dict[str, int | bytes], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        encode(COMMANDS[name], values)


def test_le_is_a_number() -> None:
    with pytest.raises(TypeError, match="le is a number"):
        encode(COMMANDS["FETCH"], {"le": b"\x01"})


# Code that does not fit.


def bind(name: str, handler: Callable[..., bytes]) -> None:
    Binding[Session]("wallet").handles(name)(handler)


def test_a_handler_for_nothing() -> None:
    with pytest.raises(BindingError, match="wallet: DANCE is not declared"):
        bind("DANCE", lambda ctx: b"")


def test_handlers_with_other_parameters() -> None:
    def too_few(ctx: Session, coin_type: int, slot: int) -> bytes:
        return b""

    def misnamed(ctx: Session, coin_type: int, index: int, digest: bytes) -> bytes:
        return b""

    def mistyped(ctx: Session, coin_type: int, slot: bytes, digest: bytes) -> bytes:
        return b""

    for handler in (too_few, misnamed, mistyped):
        with pytest.raises(BindingError, match="SIGN: "):
            bind("SIGN", handler)


class Wrong(IntEnum):
    FIRST = 0
    SECOND = 1


def test_enumerations_must_have_the_declared_members() -> None:
    def other_members(ctx: Session, part: Wrong) -> bytes:
        return b""

    def no_enumeration(ctx: Session, part: int) -> bytes:
        return b""

    for handler in (other_members, no_enumeration):
        with pytest.raises(BindingError, match="EXPORT_PUBKEYS: part is"):
            bind("EXPORT_PUBKEYS", handler)


def test_le_asked_is_a_number_to_its_handler() -> None:
    def mistyped(ctx: Session, le: bytes) -> bytes:
        return b""

    with pytest.raises(BindingError, match="FETCH: le"):
        Binding[Session]("uicc").handles("FETCH")(mistyped)


def test_everything_declared_must_be_bound() -> None:
    binding = Binding[Session]("issuer")
    with pytest.raises(BindingError, match="issuer: handler without its counterpart: GET_ICCID"):
        binding.compile()


def test_everything_bound_must_be_declared() -> None:
    class Tag(IntEnum):
        ICCID = 0x11

    def handler(ctx: Session, tag: Tag) -> bytes:
        return b""

    handler.__annotations__["tag"] = Tag
    for declare in ("condition", "right"):
        binding = Binding[Session]("issuer")
        binding.handles("GET_ICCID")(handler)
        getattr(binding, declare)("unheard_of")(lambda session: None)
        with pytest.raises(BindingError, match=f"issuer: {declare} without its counterpart: unheard_of"):
            binding.compile()


# Status words.


def test_status_words_have_meanings() -> None:
    for word in SW:
        assert describe(word) not in {"", "unknown status word"}
        assert int.from_bytes(word.encoded, "big") == word
    assert describe(0x63C3) == "wrong PIN, 3 tries left"
    assert describe(0x6110) == "16 bytes wait for GET RESPONSE"
    assert describe(0x6C00) == "wrong Le, 256 is right"
    assert describe(0x911F) == "done; a proactive command of 31 bytes waits for FETCH"
    assert describe(0x1234) == "unknown status word"


@pytest.mark.parametrize("length", [1, 0x7F, 0x80, 0xFF, 0x100])
def test_counted_status_words(length: int) -> None:
    count = bytes((length & 0xFF,))
    assert status.bytes_available(length) == b"\x61" + count
    assert status.exact_length(length) == b"\x6c" + count
    assert status.proactive_pending(length) == b"\x91" + count


def test_a_refusal_says_why() -> None:
    assert str(SwError(SW.WRONG_DATA)) == describe(SW.WRONG_DATA)
    assert str(SwError(SW.WRONG_DATA, "too green")) == "too green"
    assert SwError(0x6C05).sw == 0x6C05


def test_kinds_of_fields() -> None:
    assert [kind.size for kind in Kind] == [1, 2, 4, 0, 0]


MORE = """
[applet]
name = "more"
extends = "one"
title = "More"
reference = "none"
[rights]
guest = "invited"
[life_cycle.asleep]
refuses = { BOW = "6985" }
[[command]]
name = "BOW"
title = "Bow"
source = "chosen"
danger = "safe"
reference = "none"
cla = "80"
ins = "D0"
p1 = "00"
p2 = "00"
when = ["ready"]
needs = ["owner", "guest"]
sw = { "9000" = "bowed" }
[[command.example]]
title = "Bowed"
given = ["DO"]
command = "80D00000"
sw = "9000"
"""
ASLEEP = '[life_cycle.asleep]\ntitle = "Asleep"\nrefuses = { DO = "6985" }\n'


def extended(folder: Path, more: str = MORE) -> object:
    """A declaration and one that extends it; the extension's file comes first."""
    (folder / "a.toml").write_text(more)
    return read(folder, GOOD.replace("[[command]]", f"{ASLEEP}[[command]]", 1))


def test_an_extension_adds_to_its_applet(tmp_path: Path) -> None:
    applet = extended(tmp_path).applets["one"]  # type: ignore[attr-defined]
    assert list(applet.commands) == ["DO", "BOW"]
    assert list(applet.declared_by("")) == ["DO"]
    assert list(applet.declared_by("more")) == ["BOW"]
    assert applet.commands["BOW"].applet == "one"
    assert applet.rights.keys() == {"owner", "guest"}
    assert applet.extensions["more"].rights == {"guest"}
    asleep = applet.life_cycle["asleep"]
    assert (asleep.title, dict(asleep.refuses)) == ("Asleep", {"DO": "6985", "BOW": "6985"})


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ('extends = "one"', 'extends = "two"', "a.toml, applet: it extends two, which is not declared"),
        ('extends = "one"', 'extends = "one"\naids = ["F0"]', "unknown key aids"),
        ('guest = "invited"', 'owner = "somebody"', "owner is declared twice"),
        ('"BOW"', '"DO"', "DO is declared twice"),
        ("refuses = { BOW", "refuses = { DO", "DO is declared twice"),
        ('"guest"]', '"thief"]', "thief is not declared"),
    ],
)
def test_an_extension_takes_nothing_away(tmp_path: Path, old: str, new: str, reason: str) -> None:
    assert old in MORE
    with pytest.raises(SpecError, match=reason):
        extended(tmp_path, MORE.replace(old, new))
