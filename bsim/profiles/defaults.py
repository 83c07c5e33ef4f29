"""What every new card has unless it is told otherwise."""

from typing import Final

DEFAULT_BPIN: Final = "123456"
# A key for tests, as GlobalPlatform's default keys are: 40 41 ... 4F.
TEST_OPENING_KEY: Final = bytes(range(0x40, 0x50))
