"""Bytes: frames, parameters, and what is not SMF at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eatool.dev.smf.assured import Assured, AssuredParam, AssuredType, encode_assured, u64
from eatool.dev.smf.login import decode_extended
from eatool.dev.smf.replies import SPOOL_OVER_QUOTA, Reply
from eatool.dev.smf.sdt import decode_sdt
from eatool.dev.smf.wire import (
    Frame,
    Light,
    Param,
    Protocol,
    SmfError,
    Standard,
    response,
    take_frames,
)

KEEP_ALIVE = bytes.fromhex("03 8b 00 01 0000000c 0000000c")

standard = st.builds(
    Param,
    type=st.integers(1, 31),
    value=st.one_of(st.binary(max_size=40), st.just(b"x" * 300)),
    light=st.just(value=False),
    uh=st.integers(0, 3),
)
light = st.builds(
    Param,
    type=st.integers(0, 7),
    value=st.binary(max_size=3),
    light=st.just(value=True),
    uh=st.integers(0, 3),
)
frames = st.builds(
    Frame,
    protocol=st.sampled_from(Protocol),
    params=st.lists(st.one_of(standard, light), max_size=5),
    payload=st.binary(max_size=60),
    flags=st.sampled_from([0, 0x08, 0x10, 0xF8]),
    byte2=st.integers(0, 255),
    hops=st.integers(0, 255),
)


def test_a_keep_alive_is_twelve_bytes() -> None:
    assert Frame(Protocol.KEEP_ALIVE_V2).encode() == KEEP_ALIVE


@given(st.lists(frames, max_size=4), st.data())
def test_frames_survive_any_cut_of_the_stream(sent: list[Frame], data: st.DataObject) -> None:
    stream = b"".join(frame.encode() for frame in sent)
    cut = data.draw(st.integers(0, len(stream)))
    buffer = bytearray(stream[:cut])
    received = list(take_frames(buffer))
    buffer += stream[cut:]
    received += take_frames(buffer)
    assert received == sent
    assert not buffer


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\n",
        bytes.fromhex("03 8b 00 01 0000000b 0000000c"),  # header shorter than its fixed part
        bytes.fromhex("03 8b 00 01 0000000d 0000000c"),  # header longer than the frame
        bytes.fromhex("03 8b 00 01 0000000c 7fffffff"),  # two gigabytes
        bytes.fromhex("03 8d 00 01 0000000e 0000000e 9105"),  # parameter beyond the header
        bytes.fromhex("03 8d 00 01 0000000e 0000000e 9101"),  # parameter of one byte
    ],
)
def test_nonsense_is_refused(data: bytes) -> None:
    with pytest.raises(SmfError):
        list(take_frames(bytearray(data)))


def test_parameters_are_found_by_shape_and_type() -> None:
    frame = Frame(
        Protocol.MESSAGE, [Param(1, b"\x07", light=True), Param(Standard.PUBLISHER_ID, b"\x01\x00")]
    )
    assert frame.find(Light.TOPIC_OFFSET) == b"\x07"
    assert frame.number(Standard.PUBLISHER_ID) == 256
    assert frame.find(Standard.TOPIC) is None
    assert frame.number(Standard.TOPIC) == 0


def test_a_response_is_a_code_and_a_text() -> None:
    assert response(SPOOL_OVER_QUOTA).value == b"\x00\x00\x01\xf7Spool Over Quota"
    assert Reply.parse(str(SPOOL_OVER_QUOTA)) == SPOOL_OVER_QUOTA


@pytest.mark.parametrize("version", [2, 3])
def test_assured_control_has_two_layouts(version: int) -> None:
    params = [(AssuredParam.LAST_ID_ACKED, u64(7)), (AssuredParam.FLOW_NAME, b"f" * 300)]
    payload = encode_assured(version, AssuredType.CLIENT_ACK, params)
    message = Assured.decode(payload)
    assert (message.version, message.type) == (version, AssuredType.CLIENT_ACK)
    assert message.params == tuple(params)
    assert message.number(AssuredParam.LAST_ID_ACKED) == 7
    assert message.number(AssuredParam.WINDOW_SIZE) == 0
    assert version == 3 or len(payload) % 4 == 0


def test_extended_parameters_have_seven_formats() -> None:
    value = bytes.fromhex("0001 1002aa 2003bbbb 4004 0102030405060708 5031 05 6869 6030 0006 6a6b")
    assert decode_extended(value) == {
        0x001: b"",
        0x002: b"\xaa",
        0x003: b"\xbb\xbb",
        0x004: bytes(range(1, 9)),
        0x031: b"hi",
        0x030: b"jk",
    }
    with pytest.raises(SmfError):
        decode_extended(bytes.fromhex("5031 ff 6869"))


def test_structured_data() -> None:
    assert decode_sdt(bytes.fromhex("0002 040301 0804ffff 0c0400ff 1c056869 00")) == [
        None,
        True,
        -1,
        255,
        "hi",
    ]
    with pytest.raises(SmfError):
        decode_sdt(bytes.fromhex("1cff6869"))
    with pytest.raises(SmfError):
        decode_sdt(bytes.fromhex("28051c036100"))  # a map of a key without a value
