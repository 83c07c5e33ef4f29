"""What one server gives at most. Past each limit somebody is refused and told; nobody else is slowed down."""

from typing import Final, NamedTuple


class Limits(NamedTuple):
    """Sizes are bytes, times seconds.

    `waiting` is how many requests may wait for one card, `calls` how many signatures are under way; `rate` and `burst`
    are requests a second from one address;
    `lines` is how many trace lines the server keeps of all its cards together, `ring` of one card at most.
    """

    body: int = 256 * 1024
    head: int = 16 * 1024
    connections: int = 2_048
    cards: int = 2_048
    sessions: int = 1_024
    feeds: int = 64
    calls: int = 256
    waiting: int = 256
    snapshots: int = 64
    rules: int = 64
    rate: float = 20_000.0
    burst: int = 20_000
    head_seconds: float = 10.0
    body_seconds: float = 30.0
    idle_seconds: float = 75.0
    write_seconds: float = 30.0
    approval_seconds: float = 60.0
    lines: int = 320_000
    ring: int = 10_000
    feed: int = 12_000


DEFAULT: Final = Limits()
