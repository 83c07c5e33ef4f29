"""A SIM tool's walk and full exports through the real PC/SC stack. `bsim bench pcsc` says how long that takes."""

import pytest
from sim_tool import SimTool

import bsim
from bsim.card import T0

pytestmark = pytest.mark.pcsc

TPDUS = 5_000


def test_a_walk_and_thousands_of_tpdus(insert):
    connection = insert(T0(bsim.new_card(handset="none"))).connection

    def tpdu(command: bytes) -> bytes:
        data, sw1, sw2 = connection.transmit(list(command))
        return bytes((*data, sw1, sw2))

    walker = SimTool(tpdu)
    walker.walk()
    while walker.count < TPDUS:
        walker.export()
    assert len(walker.files) > 100
