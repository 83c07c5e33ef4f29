"""The card over Bluetooth LE, both ends on a virtual link: an app's whole life with it, and whatever goes wrong."""

import asyncio
import threading
from collections.abc import Callable, Coroutine

import pytest
from ble_app import App, Modem, device, on_air
from bumble.att import ATT_Error
from bumble.device import Device
from bumble.link import LocalLink
from helpers import (
    DIGEST,
    ETHEREUM,
    ICCID,
    ISSUER_AID,
    KEY2,
    SOLANA,
    Judge,
    apdu,
    bare_card,
    exchange,
    expect,
    public_key,
    select,
    signature,
)

import bsim
from bsim.client import CardError, Wallet
from bsim.crypto.algorithm import Algorithm
from bsim.handset import Handset, ScriptedUser
from bsim.lab.fault_rules import FaultError
from bsim.lab.faults import Faults
from bsim.lab.link_faults import LinkFaults
from bsim.links.ble import Peripheral
from bsim.links.ble_frames import FramingError, MessageType, encode
from bsim.ports import Card

SELECT = "00A4040010A000000533C000FF860000000000054D"
VERSION = "00CA000002"
Talk = Callable[[App], Coroutine[None, None, None]]


def talk(card: Card, what: Talk, *rules: str, first: int = 0) -> None:
    """Put a card on the air, connect an app and let it talk."""

    async def main() -> None:
        async with on_air(card, LinkFaults(rules, seed=1)) as phone:
            await what(await App.connect(phone, first))

    asyncio.run(main())


def phones(card: Card, what: Callable[[Device], Coroutine[None, None, None]], *rules: str) -> None:
    async def main() -> None:
        async with on_air(card, LinkFaults(rules, seed=1)) as phone:
            await what(phone)

    asyncio.run(main())


class Echo:
    """A card that answers what it got, and counts; `says` is the answer where one is given."""

    def __init__(self, says: bytes | None = None) -> None:
        self.says = says
        self.got: list[bytes] = []
        self.resets = 0

    def reset(self) -> bytes:
        self.resets += 1
        return b"\x3b\x00"

    def transmit(self, command: bytes) -> bytes:
        self.got.append(command)
        return self.says if self.says is not None else command[:280] + b"\x90\x00"


@pytest.mark.parametrize("first", [0, 1])
def test_a_thousand_exchanges(first):
    card = Judge(bsim.new_card())
    challenges = set()

    async def app(app: App) -> None:
        assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"
        for _ in range(500):
            assert await app.exchange(VERSION) == bytes.fromhex("00519000")
            challenges.add(await app.exchange("0084000010"))
        assert app.notified.empty()

    talk(card, app, first=first)
    assert len(challenges) == 500


def test_a_wallets_whole_session():
    """As the app does it: SELECT in the first message, both AIDs in turn on one channel, 6982 until the BPIN is in."""
    asked: list[float] = []  # the app's pauses are all the time that passes
    handset = Handset(ScriptedUser("wrong,right@3s"), clock=lambda: sum(asked))
    card = Judge(handset.insert(bare_card()))

    def life(modem: Modem) -> None:
        select(modem)
        assert expect(modem, "GET_VERSION") == b"\x00\x51"
        wallet = Wallet(modem)
        assert wallet.iccid() == ICCID
        first = wallet.derive(ETHEREUM)
        second = wallet.derive(SOLANA, Algorithm.ED25519)
        assert first.public_key == public_key(ETHEREUM, 1, 1)
        assert wallet.accounts() == [first, second]
        assert wallet.iccid() == ICCID
        with pytest.raises(CardError, match="6982"):
            Wallet(modem, wait=0).sign(ETHEREUM, 1, DIGEST)
        wallet = Wallet(modem, wait=60, sleep=asked.append)
        wallet.verify_bpin()
        assert len(wallet.accounts()) == 2
        assert wallet.version() == b"\x00\x51"
        assert wallet.sign(ETHEREUM, 1, DIGEST) == signature(ETHEREUM, 1)
        assert asked == [1.0] * 3, "the app polled with 6982 until the BPIN was typed"
        select(modem, ISSUER_AID)
        assert exchange(modem, "80CA001100")[1] == 0x9000
        select(modem)
        blob = wallet.backup(KEY2)
        wallet.restore(KEY2, blob, [(one.coin_type, one.algorithm) for one in (first, second)])
        assert wallet.accounts() == [first, second]

    async def app(app: App) -> None:
        await asyncio.to_thread(life, Modem(app, asyncio.get_running_loop()))

    talk(card, app)


def test_the_card_side_resolves_6cxx_and_61xx():
    async def app(app: App) -> None:
        await app.exchange(SELECT)
        assert await app.exchange("00CA000001") == bytes.fromhex("00519000")

    talk(bsim.new_card(), app)

    async def waiting(app: App) -> None:
        assert await app.exchange(SELECT) == bytes(range(16)) + b"\x90\x00"

    class Waiting(Echo):
        def transmit(self, command: bytes) -> bytes:
            return bytes.fromhex("6110") if command[1] == 0xA4 else bytes(range(16)) + b"\x90\x00"

    talk(Waiting(), waiting)


def test_the_phone_serves_91xx():
    async def app(app: App) -> None:
        for command in (SELECT, "807C000000", "80A80002050000003C01", f"80AC0000250000003C01{DIGEST.hex()}"):
            assert (await app.exchange(command))[-2:] == b"\x90\x00"

    talk(bsim.new_card(), app)


def test_a_body_of_282_bytes_passes_and_283_is_refused():
    card = Echo(says=bytes(280) + b"\x90\x00")

    async def app(app: App) -> None:
        assert await app.exchange(bytes(282)) == card.says
        with pytest.raises(FramingError, match="283"):
            await app.exchange(bytes(283))
        # An app that sends it all the same gets the status word for it, at once and once.
        message = b"\x02" + (283).to_bytes(2, "big") + bytes(283)
        await app.send(bytes((0xF0 | at // 19,)) + message[at : at + 19] for at in range(0, 285, 19))
        assert await app.answer() == b"\x67\x00"
        card.says = bytes(281) + b"\x90\x00"
        assert await app.exchange(bytes(4)) == b"\x6f\x00", "an answer that does not fit is no answer"
        assert app.notified.empty()

    talk(card, app)
    assert [len(command) for command in card.got] == [282, 4]


GOOD = bytes.fromhex(SELECT)
A, B = encode(MessageType.COMMAND, GOOD), encode(MessageType.COMMAND, bytes.fromhex("80AC000025") + bytes(37))
BROKEN: dict[str, list[bytes]] = {
    "wrong type": list(encode(MessageType.RESPONSE, GOOD)),
    "length too small": [b"\x20\x02\x00\x05" + A[0][4:], A[1]],
    "length too great": [b"\x20\x02\x00\x22" + A[0][4:], A[1]],
    "length beyond 15 frames": [b"\x20\x02\xff\xff" + A[0][4:], A[1]],
    "first frame missing": [A[1]],
    "last frame missing": [A[0]],
    "middle frame missing": [B[0], B[2]],
    "frame again later": [B[0], B[1], B[2][:-1], B[1]],
    "reordered": [A[1], A[0]],
    "all reordered": list(reversed(B)),
    "0 frames": [b"\x00" + A[0][1:], b"\x01" + A[1][1:]],
    "sequence beyond the frames": [A[0], b"\x29" + A[1][1:]],
    "frames change": [A[0], b"\x31" + A[1][1:]],
    "chunk of 0": [A[0], A[1][:1]],
    "empty write": [b""],
    "chunk of 20": [A[0] + b"\0", A[1]],
    "overlong": [b"\x10" + bytes(100)],
    "interleaved": [A[0], B[0], A[1], B[1], B[2]],
    "all of it": [bytes((head,)) + b"\x02\x00\x01\x00" for head in range(256)],
}


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("error", BROKEN)
def test_no_framing_error_wedges_the_card(error, first):
    shifted = [bytes((one[0] & 0xF0 | (one[0] + first) & 15,)) + one[1:] if one else one for one in BROKEN[error]]

    async def app(app: App) -> None:
        for _ in range(2):  # twice settles how the app counts
            assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"
        for frame in shifted:
            await app.send_when_taken(frame)
        # Refusals are status words of their own, and may be several; the version comes after all of them.
        await app.send(encode(MessageType.COMMAND, bytes.fromhex(VERSION), first))
        while (answer := await app.answer()) != bytes.fromhex("00519000"):
            assert answer in {b"\x67\x00", b"\x6d\x00", b"\x6e\x00"}, answer.hex()
        assert await app.exchange(VERSION) == bytes.fromhex("00519000")

    talk(Judge(bsim.new_card()), app, first=first)


@pytest.mark.parametrize("error", ["wrong type", "middle frame missing", "sequence beyond the frames", "chunk of 20"])
def test_a_framing_error_is_answered_once_with_6700(error):
    card = Echo()

    async def app(app: App) -> None:
        await app.exchange("00CA0000")
        await app.send(BROKEN[error])
        assert await app.answer() == b"\x67\x00"
        assert await app.exchange("00CA0001") == bytes.fromhex("00CA00019000")
        assert app.notified.empty()

    talk(card, app)
    assert len(card.got) == 2


def test_an_app_that_never_listens_is_told_to_wait():
    class Slow(Echo):
        def transmit(self, command: bytes) -> bytes:
            release.wait()
            return super().transmit(command)

    release = threading.Event()

    async def app(app: App) -> None:
        frames = encode(MessageType.COMMAND, bytes(4))
        with pytest.raises(ATT_Error):
            await app.send(frames * 20)
        release.set()
        assert await app.answer() == bytes(4) + b"\x90\x00"

    try:
        talk(Slow(), app)
    finally:
        release.set()  # else the card's thread would be waited for


# --- faults of the link ------------------------------------------------------------------------------------------


def test_lost_repeated_and_swapped_frames_of_a_command():
    async def app(app: App) -> None:
        assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"
        await app.send(encode(MessageType.COMMAND, bytes.fromhex(VERSION)))  # lost: no answer comes
        assert (await app.exchange("80C8000000"))[-2:] == b"\x90\x00"  # taken once, though it came twice
        assert (await app.exchange(apdu("SIGN", coin_type=60, slot=1, digest=DIGEST))) == b"\x67\x00"  # swapped
        assert (await app.exchange(apdu("SIGN", coin_type=60, slot=1, digest=DIGEST))) == b"\x69\x82"
        assert app.notified.empty()

    rules = ["on GET_VERSION nth 1 lose-frame 1", "on EXPORT_PUBKEYS repeat-frame 1", "on SIGN nth 1 swap-frame 2"]
    talk(Judge(bsim.new_card()), app, *rules)


def test_lost_repeated_and_swapped_frames_of_an_answer():
    async def app(app: App) -> None:
        await app.exchange(SELECT)
        await app.exchange("80A80002050000003C01")
        command = encode(MessageType.COMMAND, bytes.fromhex("80C8000000"))
        heads = []
        for count in (5, 6, 5):
            await app.send(command)
            heads.append([(await app.notified.get())[0] for _ in range(count)])
        assert heads[0] == [0x50, 0x51, 0x52, 0x53, 0x54]
        assert heads[1] == [0x50, 0x51, 0x51, 0x52, 0x53, 0x54]
        assert heads[2] == [0x51, 0x50, 0x52, 0x53, 0x54]
        await app.send(command)
        assert [(await app.notified.get())[0] for _ in range(4)] == [0x51, 0x52, 0x53, 0x54]
        assert app.notified.empty()

    rules = [
        "on EXPORT_PUBKEYS nth 2 repeat-frame 2 late",
        "on EXPORT_PUBKEYS nth 3 swap-frame 1 late",
        "on EXPORT_PUBKEYS nth 4 lose-frame 1 late",
    ]
    talk(bsim.new_card(), app, *rules)


def test_the_quirks_of_pairing():
    """A bare 67 00 is notified, and a write is answered with ATT error 0x80; both are benign: the command counts."""

    async def app(app: App) -> None:
        with pytest.raises(ATT_Error) as refusal:
            await app.send(encode(MessageType.COMMAND, bytes.fromhex(SELECT)))
        assert refusal.value.error_code == 0x80
        assert await app.notified.get() == b"\x67\x00"
        assert (await app.answer())[-2:] == b"\x90\x00"
        assert await app.exchange(VERSION) == bytes.fromhex("00519000")

    talk(bsim.new_card(), app, "nth 1 stray 6700", "nth 1 refuse-write")


@pytest.mark.parametrize(("late", "done"), [("", 0), (" late", 1)])
def test_a_disconnection_in_the_middle(late, done):
    card = bsim.new_card()

    async def phone(phone: Device) -> None:
        app = await App.connect(phone)
        await app.exchange(SELECT)
        gone = asyncio.get_running_loop().create_future()
        app.connection.on("disconnection", gone.set_result)
        await app.send(encode(MessageType.COMMAND, bytes.fromhex("80A80002050000003C01")))
        await gone
        again = await App.connect(phone)
        assert await again.exchange(VERSION) == b"\x6d\x00", "nothing is selected: the card was power-cycled"
        await again.exchange(SELECT)
        assert (await again.exchange("80C8000000")).count(b"\xc2\x47") == done

    phones(card, phone, f"on DERIVE_KEY disconnect{late}")


def test_an_app_that_goes_in_the_middle_of_a_message():
    card = Echo()

    async def phone(phone: Device) -> None:
        for resets in (1, 2, 3):
            app = await App.connect(phone)
            assert await app.exchange("00CA0000") == bytes.fromhex("00CA00009000")
            assert card.resets == resets
            await app.send(A[:1])
            await app.connection.disconnect()

    phones(card, phone)
    assert len(card.got) == 3


def test_what_was_verified_dies_with_the_connection():
    async def phone(phone: Device) -> None:
        app = await App.connect(phone)
        for command in (SELECT, "80A80002050000003C01", "807C000000"):
            await app.exchange(command)
        sign = f"80AC0000250000003C01{DIGEST.hex()}"
        assert (await app.exchange(sign))[-2:] == b"\x90\x00"
        await app.connection.disconnect()
        app = await App.connect(phone)
        await app.exchange(SELECT)
        assert await app.exchange(sign) == b"\x69\x82"

    phones(bsim.new_card(), phone)


def test_cards_that_are_lost():
    async def phone(phone: Device) -> None:
        app = await App.connect(phone)
        await app.exchange(SELECT)
        await app.send(encode(MessageType.COMMAND, bytes.fromhex(VERSION)))  # mute: no answer
        assert await app.exchange(VERSION) == b"\x6d\x00", "it is back, and was reset"
        gone = asyncio.get_running_loop().create_future()
        app.connection.on("disconnection", gone.set_result)
        await app.exchange(SELECT)
        await app.send(encode(MessageType.COMMAND, bytes.fromhex("80C8000000")))  # removed: the radio goes with it
        await gone
        app = await App.connect(phone)
        assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"

    phones(Faults(bsim.new_card(), ["on GET_VERSION nth 1 mute", "on EXPORT_PUBKEYS remove-card"]), phone)


def test_a_card_that_is_broken_is_told_and_does_not_end_the_link(caplog):
    class Broken(Echo):
        def transmit(self, command: bytes) -> bytes:
            if command[1] == 1:
                raise RuntimeError("with 123456 in it")
            return b"\x61\x01" if command[1] in {2, 0xC0} else super().transmit(command)

    async def app(app: App) -> None:
        assert await app.exchange("00010000") == b"\x6f\x00"
        assert await app.exchange("00020000") == b"\x6f\x00", "61xx for ever"
        assert await app.exchange("00030000") == bytes.fromhex("000300009000")

    talk(Broken(), app)
    assert "the card raised RuntimeError" in caplog.text
    assert "123456" not in caplog.text


def test_rules_of_the_other_kind_are_refused():
    with pytest.raises(FaultError, match="serve --ble"):
        Faults(bsim.new_card(), ["on SIGN lose-frame 1"])
    with pytest.raises(FaultError, match="done to a card"):
        LinkFaults(["on SIGN answer 6985"])


@pytest.mark.parametrize("name", ["BSIM", "CT" + "x" * 21])
def test_names_an_app_would_not_find(name):
    async def main() -> None:
        with pytest.raises(ValueError, match="begins with CT"):
            Peripheral(device(LocalLink(), name), bsim.new_card())

    asyncio.run(main())
