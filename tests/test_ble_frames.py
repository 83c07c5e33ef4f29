"""The BLE framing: what is cut is put together again, whatever came before, and nothing broken gets through."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bsim.links.ble_frames import LONGEST_BODY, Assembler, FramingError, Message, MessageType, encode

COMMAND, RESPONSE = MessageType.COMMAND, MessageType.RESPONSE
bodies = st.binary(max_size=LONGEST_BODY)
firsts = st.sampled_from([0, 1])


def feed(assembler: Assembler, *frames: bytes) -> list[Message | str]:
    """All that comes out: messages, and the words of errors."""
    out: list[Message | str] = []
    for frame in frames:
        try:
            message = assembler.feed(frame)
        except FramingError as fault:
            out.append(str(fault))
        else:
            out += [message] if message else []
    return out


@given(bodies, st.sampled_from(MessageType), firsts)
def test_what_is_cut_is_put_together_again(body: bytes, kind: MessageType, first: int) -> None:
    frames = encode(kind, body, first)
    assert 1 <= len(frames) <= 15
    assert all(2 <= len(frame) <= 20 for frame in frames)
    assert [frame[0] for frame in frames] == [len(frames) << 4 | first + at for at in range(len(frames))]
    assert b"".join(frame[1:] for frame in frames) == bytes((kind,)) + len(body).to_bytes(2, "big") + body
    assert feed(Assembler(kind), *frames) == [Message(body, first)]


@given(st.lists(bodies, max_size=4), firsts, st.booleans())
def test_messages_in_a_row(all_bodies: list[bytes], first: int, known: bool) -> None:
    assembler = Assembler(COMMAND, first if known else None)
    frames = [frame for body in all_bodies for frame in encode(COMMAND, body, first)]
    assert feed(assembler, *frames) == [Message(body, first) for body in all_bodies]


@given(st.integers(0, 40), st.data())
def test_shorter_chunks_are_taken_too(length: int, data: st.DataObject) -> None:
    message = bytes((COMMAND,)) + length.to_bytes(2, "big") + bytes(length)
    cuts = sorted(data.draw(st.sets(st.integers(1, len(message) - 1), max_size=14)))
    chunks = [message[a:b] for a, b in zip([0, *cuts], [*cuts, len(message)], strict=True)]
    frames = [bytes((len(chunks) << 4 | at,)) + chunk for at, chunk in enumerate(chunks)]
    expected = Message(bytes(length), 0)
    if all(len(chunk) <= 19 for chunk in chunks):
        assert feed(Assembler(COMMAND), *frames) == [expected]
    else:
        assert expected not in feed(Assembler(COMMAND), *frames)


@given(st.lists(st.binary(max_size=22), max_size=12), bodies, firsts)
def test_after_any_rubbish_the_next_good_message_gets_through(rubbish: list[bytes], body: bytes, first: int) -> None:
    assembler = Assembler(COMMAND, first)
    feed(assembler, *rubbish)
    assert feed(assembler, *encode(COMMAND, body, first))[-1] == Message(body, first)


@given(bodies, bodies, firsts)
def test_one_message_that_is_counted_otherwise_is_not_learnt_for_good(body: bytes, other: bytes, first: int) -> None:
    assembler = Assembler(COMMAND)
    odd, good = encode(COMMAND, other, 1 - first), encode(COMMAND, body, first)
    assert feed(assembler, *odd, *good, *odd, *good) == [Message(other, 1 - first), Message(body, first)] * 2
    # Twice in a row settles it: what is counted otherwise is an error from then on.
    feed(assembler, *good)
    assert all(isinstance(one, str) for one in feed(assembler, *odd))
    assert feed(assembler, *good) == [Message(body, first)]


@given(bodies, bodies, firsts, st.data())
def test_a_changed_message_is_told_at_most_once_and_the_next_is_whole(
    body: bytes, after: bytes, first: int, data: st.DataObject
) -> None:
    frames = list(encode(COMMAND, body, first))
    at = data.draw(st.integers(0, len(frames) - 1))
    change = data.draw(st.sampled_from(["lose", "twice", "swap", "count", "sequence", "empty", "long"]))
    if change == "lose":
        del frames[at]
    elif change == "twice":
        frames.insert(data.draw(st.integers(0, len(frames))), frames[at])
    elif change == "swap":
        frames[at], frames[-1] = frames[-1], frames[at]
    elif change == "count":
        frames[at] = bytes((frames[at][0] ^ data.draw(st.integers(1, 15)) << 4,)) + frames[at][1:]
    elif change == "sequence":
        frames[at] = bytes((frames[at][0] ^ data.draw(st.integers(1, 15)),)) + frames[at][1:]
    elif change == "empty":
        frames[at] = frames[at][:1]
    else:
        frames[at] = (frames[at] + bytes(20))[:21]
    assembler = Assembler(COMMAND, first)
    out = feed(assembler, *frames)
    assert all(isinstance(one, str) or one.body == body for one in out) or change in {"count", "sequence", "swap"}
    assert feed(assembler, *encode(COMMAND, after, first)) == [Message(after, first)]


@given(bodies, bodies, firsts)
def test_a_message_that_was_cut_off_is_forgotten(body: bytes, after: bytes, first: int) -> None:
    assembler = Assembler(COMMAND, first)
    assert feed(assembler, *encode(COMMAND, body, first)[:-1], *encode(COMMAND, after, first)) == [
        Message(after, first)
    ]


def test_282_bytes_pass_and_283_do_not() -> None:
    assert LONGEST_BODY == 282
    assert len(encode(COMMAND, bytes(282))) == 15
    for kind in MessageType:
        with pytest.raises(FramingError, match="283 bytes does not pass: 282 is the most"):
            encode(kind, bytes(283))
    # A sender that does it all the same is told at the first frame.
    assembler = Assembler(COMMAND)
    message = b"\x02" + (283).to_bytes(2, "big") + bytes(283)
    frames = [bytes((0xF0 | min(at // 19, 15),)) + message[at : at + 19] for at in range(0, len(message), 19)]
    assert feed(assembler, *frames) == ["a body of 283 bytes does not pass: 282 is the most"]
    assert feed(assembler, *encode(COMMAND, bytes(282))) == [Message(bytes(282), 0)]


TWO = encode(COMMAND, bytes(20))
THREE = encode(COMMAND, bytes(40))
BROKEN = {
    "type 12 where 02 is wanted": encode(RESPONSE, bytes(20)),
    "all frames are there, and fewer bytes than the length says": (b"\x10\x02\x00\x05\x01",),
    "3 bytes or more where the length says 2": (b"\x10\x02\x00\x02\x01\x02\x03",),
    "a body of 40 bytes does not fit into 2 frames": (b"\x20\x02\x00\x28" + bytes(16),),
    "frame 2 where 1 is wanted": (THREE[0], THREE[2]),
    "frame 1 of 2 in a message of 3 frames": (THREE[0], TWO[1]),
    "a message of 0 frames": (b"\x00\x02\x00\x01\x01",),
    "sequence 7 is beyond the 3 frames there are": (THREE[0], b"\x37\x01"),
    "a chunk has 1 to 19 bytes, not 0": (THREE[0], b"\x31", *THREE[1:]),
    "a chunk has 1 to 19 bytes, not 20": (b"\x10\x02\x00\x11" + bytes(17),),
    "frame 3 of 3 where a message begins": (b"\x33\x01",),
}


@pytest.mark.parametrize("words", BROKEN)
def test_every_error_is_told_once_by_its_name(words: str) -> None:
    assembler = Assembler(COMMAND, 0)
    assert feed(assembler, *BROKEN[words]) == [words]
    assert feed(assembler, *TWO) == [Message(bytes(20), 0)]


def test_an_empty_write_is_a_chunk_of_0_bytes() -> None:
    assert feed(Assembler(COMMAND), b"") == ["a chunk has 1 to 19 bytes, not 0"]


def test_a_frame_twice_in_a_row_is_taken_once() -> None:
    first, second, third = THREE
    assert feed(Assembler(COMMAND), first, first, second, second, third, third) == [Message(bytes(40), 0)]


def test_data_is_not_in_the_repr_of_a_message() -> None:
    assert "313233" not in repr(Message(b"123456", 0))
    assert "123456" not in repr(Message(b"123456", 0))
