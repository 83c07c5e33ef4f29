"""A SIM tool as others write them: TPDUs in, its own reading of what comes back. It knows nothing of bsim's tables.

It probes as real ones do (odd classes, GSM's A0 first), follows 61xx, 9Fxx and 6Cxx, and exports whatever it finds:
it learns files from a list of identifiers, sizes from FCPs, record counts from descriptors.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

Tpdu = Callable[[bytes], bytes]
ALLOWED = bytes.fromhex("828384A58A8B8C80ABC68188")
MF_FILES = ["2F00", "2F05", "2F06", "2F08", "2FE2"]
GSM_FILES = [
    "6F05",
    "6F07",
    "6F20",
    "6F30",
    "6F31",
    "6F37",
    "6F38",
    "6F39",
    "6F3E",
    "6F3F",
    "6F41",
    "6F45",
    "6F46",
    "6F48",
    "6F50",
    "6F52",
    "6F53",
    "6F60",
    "6F61",
    "6F62",
    "6F74",
    "6F78",
    "6F7B",
    "6F7E",
    "6FAD",
    "6FAE",
    "6FB7",
    "6F99",
]
TELECOM_FILES = [
    "6F06",
    "6F3A",
    "6F3B",
    "6F3C",
    "6F3D",
    "6F40",
    "6F42",
    "6F43",
    "6F44",
    "6F47",
    "6F49",
    "6F4A",
    "6F4B",
    "6F4C",
    "6F54",
]
USIM_FILES = [
    "6F05",
    "6F06",
    "6F07",
    "6F08",
    "6F09",
    "6F31",
    "6F37",
    "6F38",
    "6F39",
    "6F3B",
    "6F3C",
    "6F3E",
    "6F3F",
    "6F40",
    "6F41",
    "6F42",
    "6F43",
    "6F45",
    "6F46",
    "6F47",
    "6F48",
    "6F49",
    "6F4B",
    "6F4C",
    "6F4D",
    "6F4E",
    "6F50",
    "6F56",
    "6F57",
    "6F5B",
    "6F5C",
    "6F60",
    "6F61",
    "6F62",
    "6F73",
    "6F78",
    "6F7B",
    "6F7E",
    "6F80",
    "6F81",
    "6F82",
    "6F83",
    "6FAD",
    "6FB7",
    "6FC4",
    "6FC5",
    "6FC6",
    "6FC7",
    "6FC9",
    "6FCA",
    "6FCB",
    "6FCD",
    "6FD9",
    "6FE3",
    "6FE4",
]
ISIM_FILES = ["6F02", "6F03", "6F04", "6F06", "6F07", "6F09", "6FAD", "6FD5"]
TREE = {
    ("3F00",): MF_FILES,
    ("3F00", "7F20"): GSM_FILES,
    ("3F00", "7F10"): TELECOM_FILES,
    ("3F00", "7F10", "5F3B"): ["4F47", "4F48"],
    ("A0000000871002",): USIM_FILES,
    ("A0000000871002", "5F3B"): ["4F20", "4F52", "4F63", "4F64"],
    ("A0000000871002", "5FC0"): ["4F01", "4F06", "4F0A"],
    ("A0000000871004",): ISIM_FILES,
}


class ToolError(AssertionError):
    """What such a tool stops at."""


def read_tlv(data: bytes) -> list[tuple[int, bytes]]:
    """One-byte tags, lengths of up to two bytes."""
    found, at = [], 0
    while at < len(data):
        tag, length, at = data[at], data[at + 1], at + 2
        if length == 0x81:
            length, at = data[at], at + 1
        if at + length > len(data):
            raise ToolError("a TLV is cut short")
        found.append((tag, data[at : at + length]))
        at += length
    return found


@dataclass
class SimTool:
    """Walks a card. `count` is the TPDUs sent; `files` what was read, by path."""

    tpdu: Tpdu
    count: int = 0
    files: dict[str, list[bytes]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)

    def raw(self, command: str) -> tuple[bytes, int]:
        self.count += 1
        response = self.tpdu(bytes.fromhex(command))
        return response[:-2], int.from_bytes(response[-2:], "big")

    def send(self, command: str) -> tuple[bytes, int]:
        """A T=0 client: repeats on 6Cxx, fetches on 61xx and 9Fxx with the command's own class."""
        data, sw = self.raw(command)
        if sw >> 8 == 0x6C:
            data, sw = self.raw(f"{command[:8]}{sw & 0xFF:02X}")
        while sw >> 8 in {0x61, 0x9F}:
            more, sw = self.raw(f"{command[:2]}C00000{sw & 0xFF:02X}")
            data += more
        return data, sw

    def ok(self, command: str) -> bytes:
        data, sw = self.send(command)
        if sw != 0x9000:
            raise ToolError(f"{command}: {sw:04X}")
        return data

    def probe(self) -> None:
        """What real tools try first: any refusal will do, but not silence, and no proactive command."""
        for command in (
            "B03C010000",
            "A0A40000023F00",
            "80A40000023F00",
            "F0F2000000",
            "00010203",
            "8050000008" + "00" * 8,
        ):
            _, sw = self.raw(command)
            if sw >> 8 not in {0x61, 0x6E, 0x6D, 0x6A, 0x67, 0x68, 0x69, 0x9F, 0x90, 0x94}:
                raise ToolError(f"{command}: {sw:04X}")
        for cla in range(256):
            _, sw = self.raw(f"{cla:02X}F2000000")
            if sw >> 8 == 0x91:
                raise ToolError("a proactive command before TERMINAL PROFILE")

    def classic(self) -> None:
        """GSM 11.11: find the card by its ICCID, read what a first-generation phone reads."""
        select = self.raw("A0A40000022FE2")[1]
        if select >> 8 != 0x9F:
            raise ToolError(f"no SIM: {select:04X}")
        if len(self.ok("A0B000000A")) != 10:
            raise ToolError("no ICCID")
        for path in ("7F20 6F07", "7F20 6F38", "7F20 6FAD", "7F20 6F7E", "7F10 6F40", "7F10 6F42", "7F10 6F3A"):
            directory, fid = path.split()
            for one in ("3F00", directory):
                if len(self.ok(f"A0A4000002{one}")) != 22:
                    raise ToolError("a directory answers 22 bytes")
            told = self.ok(f"A0A4000002{fid}")
            if told[4:6].hex().upper() != fid or told[6] != 4:
                raise ToolError("not the file that was meant")
            size, structure = int.from_bytes(told[2:4], "big"), told[13]
            if structure == 0:
                if len(self.ok(f"A0B00000{size:02X}")) != size:
                    raise ToolError("not all of it")
            else:
                for number in range(1, size // told[14] + 1):
                    self.ok(f"A0B2{number:02X}04{told[14]:02X}")

    def select(self, where: str) -> bytes:
        """A directory by its identifier, an application by a part of its AID; the FCP, checked."""
        if len(where) > 4:
            return self.template(self.ok(f"00A40404{len(where) // 2:02X}{where}"))
        return self.template(self.ok(f"00A4000402{where}"))

    def template(self, raw: bytes) -> bytes:
        (outer,) = read_tlv(raw)
        if outer[0] != 0x62 or len(raw) > 127 or any(tag not in ALLOWED for tag, _ in read_tlv(outer[1])):
            raise ToolError(f"no FCP a tool knows: {raw.hex()}")
        return outer[1]

    def export(self) -> None:
        """Every file there is: its FCP, its rule, its content; PIN counters and the channel on the way."""
        for steps, fids in TREE.items():
            for fid in fids:
                for step in ("3F00", *steps) if len(steps[0]) > 4 else steps:
                    self.select(step)
                found, sw = self.send(f"00A4000402{fid}")
                path = "/".join((*steps, fid))
                if sw == 0x6A82:
                    self.missing.append(path)
                    continue
                if sw != 0x9000:
                    raise ToolError(f"{path}: {sw:04X}")
                self.files[path] = self.content(dict(read_tlv(self.template(found))))

    def content(self, fcp: dict[int, bytes]) -> list[bytes]:
        descriptor, size = fcp[0x82], int.from_bytes(fcp[0x80], "big")
        if descriptor[0] & 7 == 1 and descriptor[0] < 0x78:
            content = b"".join(self.ok(f"00B0{at:04X}{min(size - at, 255):02X}") for at in range(0, size, 255))
            return [content]
        if descriptor[0] & 7 in {2, 6} and descriptor[0] < 0x78:
            if len(descriptor) != 5:
                raise ToolError("the descriptor of a record file has five bytes")
            length, count = int.from_bytes(descriptor[2:4], "big"), descriptor[4]
            return [self.ok(f"00B2{number:02X}04{length:02X}") for number in range(1, count + 1)]
        data, sw = self.send("80CB008001 5C".replace(" ", ""))
        if sw not in {0x9000, 0x6A88, 0x62F1}:
            raise ToolError(f"BER-TLV: {sw:04X}")
        return [data]

    def security(self) -> None:
        """Counters of all PINs, and an administrator's."""
        for reference in ("01", "81", "11", "0A"):
            if self.raw(f"002000{reference}00")[1] & 0xFFF0 != 0x63C0:
                raise ToolError("no counter")
        if self.raw("002C000100")[1] & 0xFFF0 != 0x63C0:
            raise ToolError("no counter of the PUK")
        self.ok("0020000A083838383838383838")

    def channels(self) -> None:
        """Opened by the card and by the client, used in both codings of the class, closed."""
        if self.ok("0070000001") != b"\x01":
            raise ToolError("the first free channel is 1")
        self.ok("0070000500")
        for cla in ("01", "41"):
            self.ok(f"{cla}A4040007A0000000871002")
            self.ok(f"{cla}B0870009")
        self.ok("0070800100")
        self.ok("0070800500")

    def walk(self) -> None:
        """All of it."""
        self.probe()
        self.classic()
        self.export()
        self.security()
        self.channels()
