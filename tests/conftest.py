"""Rules every test is under."""

import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True, scope="session")
def own_keys(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test finds a key or passphrase of the user's, or leaves one there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
        patch.delenv("BSIM_PASSPHRASE", raising=False)
        patch.delenv("BSIM_NEW_PASSPHRASE", raising=False)
        yield


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
