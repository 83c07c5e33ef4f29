"""Rules every test is under."""

import logging
from collections.abc import Iterator

import pytest


class _Bugs(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def card_bugs() -> Iterator[list[logging.LogRecord]]:
    """An unhandled exception inside a card fails the test; one that wants it takes it off this list."""
    handler, logger = _Bugs(), logging.getLogger("bsim.card")
    logger.addHandler(handler)
    yield handler.records
    logger.removeHandler(handler)
    assert not [record.getMessage() for record in handler.records], "the card answered 6F00"
