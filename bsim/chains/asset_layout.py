"""What an encoded asset is made of, and how long its parts may be. bsim.chains.asset shows them in their order."""

from typing import Final

from bsim import tlv

TAG: Final = 0xE1
MAX_CHAIN_ID: Final = 32
MAX_CONTRACT: Final = 64
MAX_NAME: Final = 128
MAX_MEDIA: Final = 1024
MAX_ISSUER: Final = 64
# The fields in their order, with the fewest and the most bytes of each.
LENGTHS: Final = {
    0x80: (4, 4),
    0x81: (1, 1),
    0x82: (2, 1 + MAX_CHAIN_ID),
    0x83: (1, MAX_CONTRACT),
    0x84: (32, 32),
    0x85: (1, 1),
    0x86: (1, 32),
    0x87: (1, 1),
    0x88: (8, 8),
    0x89: (1, 1),
    0x8A: (1, MAX_NAME),
    0x8B: (1, MAX_MEDIA),
    0x8C: (1, MAX_ISSUER),
}
CARDS_OWN: Final = frozenset({0x80, 0x89})
OPTIONAL: Final = frozenset({0x8A, 0x8B, 0x8C})
MAX_NEW: Final = sum(
    2 + len(tlv.encode_length(most)) - 1 + most for tag, (_, most) in LENGTHS.items() if tag not in CARDS_OWN
)
MIN_NEW: Final = sum(2 + least for tag, (least, _) in LENGTHS.items() if tag not in CARDS_OWN | OPTIONAL)
