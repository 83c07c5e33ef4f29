"""The decoder and the reference: every declared example by name, and no secret in what is shown."""

import pytest
from helpers import SPEC
from hypothesis import given
from hypothesis import strategies as st

import bsim
from bsim.spec import encode
from bsim.spec.decode import Decoder
from bsim.spec.digits import swapped_digits
from bsim.spec.objects import objects, whole_objects
from bsim.spec.render import as_json, find, index, markdown, reference

EVERY = [command for applet in SPEC.applets.values() for command in applet.commands.values()]
AID = "A000000533C000FF860000000000054D"


def told(decoder, command: str, response: str = "9000"):
    decoded = decoder.command(bytes.fromhex(command))
    return decoded, decoder.response(decoded, bytes.fromhex(response))


def names(parts) -> dict[str, str]:
    return {part.name: part.hex for part in parts}


@pytest.mark.parametrize("command", EVERY, ids=lambda command: command.name)
def test_every_example_is_named(command):
    for example in command.examples:
        decoder = Decoder(SPEC)
        if SPEC.applets[command.applet].aids:
            aid = SPEC.applets[command.applet].aids[0]
            told(decoder, f"00A40400{len(aid):02X}{aid.hex()}")
        decoded = decoder.command(example.command)
        assert decoded.name == command.name
        answer = decoder.response(decoded, bytes.fromhex(example.sw))
        assert answer.sw == int(example.sw, 16)
        assert answer.meaning
        if any(field.secret for field in command.data) and len(example.command) > 5:
            assert "**" in decoded.shown
            assert example.command[5:].hex().upper() not in decoded.shown.replace(" ", "")


def test_fields_have_names_and_meanings():
    decoded, answer = told(Decoder(SPEC), "80A8000205000001F502")
    assert names(decoded.fields) == {"coin_type": "000001F5", "algorithm": "02"}
    assert [part.meaning for part in decoded.fields] == ["501", "ED25519"]
    assert answer.ok
    assert answer.meaning == "done: the slot after the last is filled"


def test_channels_and_selection_are_followed():
    decoder = Decoder(SPEC)
    told(decoder, f"01A4040010{AID}")
    assert told(decoder, "01CA000002", "00519000")[0].name == "GET_VERSION"
    assert told(decoder, "81CA001100")[0].channel == 1
    told(decoder, "00A4000C023F00")
    told(decoder, "0070800100")
    told(decoder, "00A4040C07A0000001510000")
    assert (
        told(decoder, "80CA001100", "110A985802031280889979F19000")[1].fields[0].parts[0].meaning
        == "8985203021088899971"
    )
    decoder.reset()
    assert told(decoder, "41A4040000")[0].channel == 5


def test_what_is_declared_nowhere_is_said_to_be():
    decoded, answer = told(Decoder(SPEC), "B03C010000", "6E00")
    assert decoded.name == ""
    assert "no command" in decoded.title
    assert not answer.ok
    assert told(Decoder(SPEC), "00CA050000", "6A86")[0].fields[0].meaning == "not declared"
    assert "less than four" in told(Decoder(SPEC), "00CA00", "6700")[0].title
    assert "less than two" in told(Decoder(SPEC), "00CA0000", "90")[1].meaning


@pytest.mark.parametrize(
    "command",
    [
        "807A000006363534333231",  # SET BPIN
        "807A0505063635343332 31",  # with wrong parameters
        "007A000006363534333231",  # with a wrong class
        "817A000006363534333231",  # on another channel
        "807A000007363534333231",  # with a wrong length
        "807A0000363534333231",  # with no length
        "907A000006363534333231",  # as if it were part of a chain
        "807A00000000063635343332 31",  # extended
        "8074000106363534333231",  # EXPORT SEED
        "8076000108B106363534333231",  # RESTORE SEED, cut
        "9076000108B106363534333231",  # RESTORE SEED, the first of a chain
        "80760001FFB106363534333231",
        "84D4000106363534333231",  # WRITE SESSION KEY
        "8014000006363534333231",  # TERMINAL RESPONSE
        "8014000008 8D07 04363534333231",
    ],
)
def test_secrets_are_masked_however_they_are_wrapped(command):
    raw = bytes.fromhex(command)
    decoder = Decoder(SPEC)
    decoded = decoder.command(raw)
    assert "363534333231" not in repr(decoded).replace(" ", "")
    assert "363534333231" in Decoder(SPEC, show_secrets=True).command(raw).shown.replace(" ", "")


def test_a_seventh_digit_is_no_le():
    assert Decoder(SPEC).command(bytes.fromhex("807A00000636353433323130")).shown == "807A000006 ************ **"


def test_only_the_secret_is_masked_in_a_restore():
    seed = SPEC.applets["wallet"].commands["RESTORE_SEED"]
    for key2 in (b"Passw0rd", b"x" * 129, b"y" * 254):
        raw = encode(seed, {"key2": key2, "ciphertext": bytes(61)}).encode()
        decoded = Decoder(SPEC).command(raw)
        assert key2.hex().upper() not in repr(decoded).replace(" ", "")
        assert names(decoded.fields)["ciphertext"] == "00" * 61
    ber = b"\xb1\x81\x81" + b"z" * 129 + b"\xb2\x3d" + bytes(61)
    decoded = Decoder(SPEC).command(b"\x80\x76\0\1" + bytes((len(ber),)) + ber)
    assert b"z".hex() * 4 not in repr(decoded)
    assert names(decoded.fields)["ciphertext"] == "00" * 61


def test_segments_are_joined():
    card, decoder = bsim.new_card(handset="none"), Decoder(SPEC)
    commands = [f"00A4040010{AID}", *["80A80002050000003C01"] * 5, "80C8000000", "80C8000100"]
    slots = []
    for text in commands:
        raw = bytes.fromhex(text)
        decoded = decoder.command(raw)
        answer = decoder.response(decoded, card.transmit(raw))
        slots += [part.parts[1].hex for part in answer.fields if part.name == "C2 public key"]
        slots += [p.parts[1].hex for part in answer.fields for p in part.parts if p.name == "C2 public key"]
        assert answer.ok
    assert slots == ["01", "02", "03", "04", "05"]


def test_proactive_commands_are_read():
    fetched = "D01A8103012304820281828D0B04456E746572204250494E91020606"
    _, answer = told(Decoder(SPEC), "801200001C", fetched + "9000")
    parts = answer.fields[0].parts[0].parts
    assert [part.meaning for part in parts] == ["GET INPUT", "", "'Enter BPIN'", ""]


def test_assets_and_contacts_are_named():
    asset = objects(bytes.fromhex("E111" + "800400000001" + "8A03E58F8B" + "8B026D3A" + "9900"))[0]
    assert (asset.name, [part.name for part in asset.parts]) == ("E1 asset", ["80 number", "8A name", "8B media", "99"])
    assert [part.meaning for part in asset.parts] == ["", "'友'", "'m:'", ""]
    contact = objects(bytes.fromhex("E206" + "800141" + "810178"))[0]
    assert [(part.name, part.meaning) for part in contact.parts] == [("80 name", "'A'"), ("81 address", "'x'")]
    assert objects(bytes.fromhex("E2028001"))[0].parts == ()


def test_data_objects_and_what_is_none():
    assert objects(b"\x00\x01") == ()
    assert objects(b"\xd0\x02\x81\x05")[0].parts == ()
    parts, left = whole_objects(bytes.fromhex("C20101C2050102"))
    assert [part.hex for part in parts] == ["01"]
    assert left.hex() == "c2050102"
    assert whole_objects(b"\xc2\x80")[1] == b"\xc2\x80"
    assert whole_objects(b"\xc2\x81")[1] == b"\xc2\x81"
    assert swapped_digits(bytes.fromhex("9858F1")) == "89851"


@given(st.lists(st.tuples(st.binary(max_size=40), st.binary(max_size=40)), max_size=6))
def test_nothing_makes_the_decoder_fail(turns):
    decoder = Decoder(SPEC)
    for command, response in turns:
        decoder.response(decoder.command(command), response)


@given(st.sampled_from(EVERY), st.sampled_from(range(20)), st.binary(max_size=80), st.binary(max_size=40))
def test_nothing_near_a_command_makes_it_fail(command, channel, data, response):
    from bsim.apdu import cla_on_channel

    head = bytes(
        (cla_on_channel(command.cla[0] & 0x80, channel), command.ins, command.p1.legal[0], command.p2.legal[-1])
    )
    decoder = Decoder(SPEC)
    for sw in (b"\x90\x00", b"\x63\x00", b"\x91\x10", b"\x6a\x80"):
        decoder.response(decoder.command(head + bytes((len(data),)) + data), response + sw)


def test_the_reference_says_everything():
    listed = index(SPEC)
    for command in EVERY:
        assert command.name in listed
        text = reference(SPEC, command)
        for words in (command.title, command.reference.split(";")[0], *command.sw, "Examples"):
            assert words in text
        assert as_json(command)["name"] == command.name
    page = markdown(SPEC)
    assert all(f"### {command.name}\n" in page for command in EVERY)
    assert "Generated" in page.splitlines()[0]


def test_commands_are_found_however_they_are_typed():
    for name in ("export_pubkeys", "EXPORT PUBKEYS", "export-pubkeys", " Export_Pubkeys "):
        assert [command.name for command in find(SPEC, name)] == ["EXPORT_PUBKEYS"]
    assert find(SPEC, "NOTHING") == []


def test_fields_may_be_hidden_as_if_they_were_secret():
    decoder = Decoder(SPEC, hide={"ciphertext"})
    told(decoder, f"00A4040C10{AID}")
    _, answer = told(decoder, "8074000104 61626364", "00" * 61 + "9000")
    assert answer.shown == "**" * 61 + " 9000"
    assert answer.fields == ()
    restore = SPEC.applets["wallet"].commands["RESTORE_SEED"]
    raw = encode(restore, {"key2": b"Passw0rd", "ciphertext": b"\x77" * 61}).encode()
    assert "77" * 4 not in repr(decoder.command(raw)).replace(" ", "")
    # With T=0 the response comes later, on the same channel.
    told(decoder, "8074000104 61626364", "613D")
    assert told(decoder, "01C0000010", "AA" * 16 + "9000")[1].shown == "AA" * 16 + " 9000"
    assert told(decoder, "00C0000010", "AA" * 16 + "612D")[1].shown == "**" * 16 + " 612D"
    assert told(decoder, "00C000002D", "AA" * 45 + "9000")[1].shown == "**" * 45 + " 9000"
    assert told(decoder, "00C0000010", "AA" * 16 + "9000")[1].shown == "AA" * 16 + " 9000"


def test_a_length_that_was_left_out_is_no_place_for_a_secret():
    assert Decoder(SPEC).command(bytes.fromhex("807A0000363534333231")).shown == "807A0000 ************"


TYPED = "313233343536"
MISTYPED = [
    f"807C000006{TYPED}",  # VERIFY BPIN and UPDATE BPIN take no data
    f"807E00000C{TYPED}{TYPED}",
    f"917C000006{TYPED}",
    f"807C000000 0006{TYPED}",
    *(f"{cla}{ins}000106{TYPED}" for cla in ("00", "80", "A0") for ins in ("20", "24", "26", "28", "2C", "88", "C2")),
    f"807B000006{TYPED}",  # neighbours of SET BPIN
    f"808A000006{TYPED}",
    f"7A000006{TYPED}",  # shifted by its class
    f"80A800020B 0000003C01 {TYPED}",  # after the fields of DERIVE KEY
    f"80A8000205 0000003C01 {TYPED}",
    f"00A4040016 {'A0' * 16} {TYPED}",  # after the longest identifier
    f"00B00000{TYPED}",  # no length
    f"0082000010 {TYPED} 00000000000000000000",
]


@pytest.mark.parametrize("command", MISTYPED)
def test_a_pin_where_none_belongs_is_masked(command):
    raw = bytes.fromhex(command)
    assert TYPED[2:] not in repr(Decoder(SPEC).command(raw)).replace(" ", "")
    assert TYPED in Decoder(SPEC, show_secrets=True).command(raw).shown.replace(" ", "")
    assert raw[:4].hex().upper() in Decoder(SPEC).command(raw).shown


def test_what_only_selects_or_reads_is_shown_in_any_class():
    for command in ("A0A40000026F07", "00CB3FFF035C015A", "00B2010400", "80F2400002 4F00"):
        shown = Decoder(SPEC).command(bytes.fromhex(command)).shown
        assert ("**" in shown) is command.startswith("80F2")  # declared, and without data
    assert "A98765" in told(Decoder(SPEC), "00B0000003", "A987659000")[1].shown


def test_keys_that_authenticate_answers_are_masked():
    decoder = Decoder(SPEC)
    assert told(decoder, "0088008102 0102", "DB08" * 8 + "9000")[1].shown == "**" * 16 + " 9000"
    told(decoder, "A088000002 0102", "9F0C")
    assert told(decoder, "A0C000000C", "AB" * 12 + "9000")[1].shown == "**" * 12 + " 9000"
    assert told(decoder, "A0C000000C", "AB" * 12 + "9000")[1].shown == "AB" * 12 + " 9000"
    assert told(Decoder(SPEC, show_secrets=True), "0088008102 0102", "DB089000")[1].shown == "DB08 9000"


def test_a_link_of_a_chain_has_not_done_anything_yet() -> None:
    decoder = Decoder(SPEC)
    told(decoder, f"00A4040010{SPEC.applets['wallet'].aids[0].hex()}")
    assert told(decoder, "90D1010004 74657374")[1].meaning == "taken, the rest follows"
    assert "has a seed already" in told(decoder, "90D1010004 74657374", "6985")[1].meaning
    assert "the card has a seed" in told(decoder, "80D1010004 74657374")[1].meaning
