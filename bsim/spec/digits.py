"""Digits as SIM cards write them."""


def swapped_digits(value: bytes) -> str:
    """Read BCD with its nibbles swapped, F at the end. ETSI TS 102 221 13.2."""
    return "".join(f"{byte & 15:X}{byte >> 4:X}" for byte in value).rstrip("F")
