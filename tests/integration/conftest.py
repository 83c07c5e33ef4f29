"""The real PC/SC stack for tests: a private pcscd, and cards put into its slots.

    def test_something(insert):
        inserted = insert(card)                       # slot 0; insert(other, slot=1) for a second card
        data, sw1, sw2 = inserted.connection.transmit([0x00, 0xCA, 0x00, 0x00, 0x02])

`insert` puts any `Card` behind a `VpcdLink`, waits until pcscd sees it and connects pyscard to it in T=0. What it put
in is out again when the test is over. A card with 61xx to give is wrapped in the T=0 layer by the test.

libpcsclite reads its socket's name once a process, so all in-process pyscard of a test run shares the one `pcscd`. A
test that needs a pcscd to itself starts a `PrivatePcscd` and its client in a child process, with `environment`.
"""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from bsim.links.pcscd import PrivatePcscd


@pytest.fixture(scope="session")
def pcscd(request: pytest.FixtureRequest) -> PrivatePcscd:
    """The private pcscd that in-process pyscard talks to. Where there is none: a failure in CI, a skip elsewhere."""
    try:
        private: PrivatePcscd = request.getfixturevalue("bsim_pcscd")
    except pytest.skip.Exception as reason:
        if os.environ.get("CI") == "true":
            pytest.fail(str(reason))
        raise
    return private


Insert = Callable[..., object]


@pytest.fixture
def insert(pcscd: PrivatePcscd) -> Iterator[Insert]:
    """A function `(card, *, slot=0) -> Inserted`."""
    from bsim.links.slot import inserted

    with ExitStack() as stack:
        yield lambda card, *, slot=0: stack.enter_context(inserted(card, pcscd, slot))
