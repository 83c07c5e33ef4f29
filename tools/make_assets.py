"""Writes samples/assets.json: what an indexer could export of one person's collectibles. All of it is made up.

No contract, token, issuer or amount stands for a real one; contracts and content are named by hashes of their names.
The same file comes out every time: python tools/make_assets.py
"""

import json
from base64 import b32encode
from hashlib import sha256
from pathlib import Path
from urllib.parse import quote

from bsim.chains import conflux, evm

OUTPUT = Path(__file__).parents[1] / "samples" / "assets.json"
BEGIN = 1_640_995_200  # 2022-01-01
SPAN = 4 * 365 * 86_400
TRANSFERABLE, GIFT_ONLY, NOT_FOR_RESALE = "transferable", "gift-only", "not-for-resale"
# Mainland platforms sell collectibles in yuan, and leave their buyers to keep them or to give them away.
MAINLAND = [TRANSFERABLE, GIFT_ONLY, NOT_FOR_RESALE]

ETHEREUM = {"slot": 1, "family": "evm", "chain_id": 1}
ESPACE = {"slot": 1, "family": "evm", "chain_id": 1030}
CORE = {"slot": 2, "family": "conflux", "chain_id": 1029}
DDC = {"slot": 3, "family": "fisco-bcos", "chain_id": "taian-ddc"}

# Chain, standard, collection, issuer, policy, media, and how its tokens are called.
COLLECTIONS = [
    (ETHEREUM, "ERC-721", "Harbour Cats", "Pier Nine Studio", [TRANSFERABLE], "ipfs", "Harbour Cat #{n}", 28),
    (ETHEREUM, "ERC-721", "Slow Mountains", "Ines Okafor", [TRANSFERABLE], "svg", "Slow Mountain {n}", 16),
    (ETHEREUM, "ERC-1155", "Lantern Festival Passes", "Lantern DAO", [TRANSFERABLE], "ipfs", "Pass, tier {n}", 9),
    (ETHEREUM, "ERC-721", "Proof of Lecture", "Open University Club", [], "svg", "Lecture {n} attended", 12),
    (ESPACE, "ERC-721", "树图新年", "树图社区", [TRANSFERABLE], "svg", "树图新年 {n} 号", 24),
    (ESPACE, "ERC-1155", "Sea Creatures", "Tidal Games", [TRANSFERABLE], "ipfs", "Sea Creature {n}", 30),
    (ESPACE, "ERC-721", "江南百景", "吴门画社", [TRANSFERABLE, NOT_FOR_RESALE], "ipfs", "江南百景之{n}", 25),
    (CORE, "CRC-721", "Conflux Guardians", "Guardians Guild", [TRANSFERABLE], "ipfs", "Guardian {n}", 20),
    (CORE, "CRC-1155", "安塞腰鼓", "延河文创", [TRANSFERABLE, GIFT_ONLY], "svg", "安塞腰鼓 第{n}式", 14),
    (DDC, "permissioned", "敦煌飞天", "陇上数字文博", MAINLAND, "svg", "敦煌飞天 {n}", 26),
    (DDC, "permissioned", "青花瓷", "景瓷数藏", MAINLAND, "ipfs", "青花缠枝莲 {n}/500", 22),
    (DDC, "permissioned", "5G SIM 纪念章", "天翼数藏", [], "svg", "5G SIM 纪念章 {n}", 8),
]


def draw(*words: object) -> int:
    """A number that only the words decide."""
    return int.from_bytes(sha256("|".join(map(str, words)).encode()).digest())


def contract(chain: dict, collection: str) -> str:
    account = sha256(f"contract of {collection}".encode()).digest()[:20]
    if chain is CORE:
        return conflux.encode(bytes((0x80 | account[0] & 0x0F,)) + account[1:])  # contracts begin with the digit 8
    return evm.checksum(account)


def media(kind: str, name: str) -> str:
    if kind == "ipfs":
        digest = sha256(f"content of {name}".encode()).digest()
        cid = "b" + b32encode(b"\x01\x70\x12\x20" + digest).decode().lower().rstrip("=")
        return f"ipfs://{cid}/metadata.json"
    hue, height = draw("hue", name) % 360, 20 + draw("height", name) % 50
    svg = (
        "<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 96 96'>"
        f"<rect width='96' height='96' fill='hsl({hue},60%,88%)'/>"
        f"<path d='M0 96 L48 {height} L96 96Z' fill='hsl({(hue + 180) % 360},45%,40%)'/>"
        f"<text x='48' y='90' font-size='9' text-anchor='middle' fill='#fff'>{name}</text></svg>"
    )
    return "data:image/svg+xml," + quote(svg, safe="='/:(),.")


def token_id(standard: str, collection: str, number: int) -> str:
    # Ids that count, and ids that are hashes: both are common.
    return str(draw("id", collection, number) if "1155" in standard and number % 3 == 0 else 1000 + number * 7)


def asset(row: tuple, number: int) -> dict:
    chain, standard, collection, issuer, policy, kind, pattern, _ = row
    name = pattern.format(n=number)
    moment = BEGIN + draw("acquired", collection, number) % SPAN
    return {
        **chain,
        "contract": contract(chain, collection),
        "token_id": token_id(standard, collection, number),
        "standard": standard,
        "amount": str(1 + draw("amount", collection, number) % 20 if "1155" in standard else 1),
        "name": name,
        "media": media(kind, name),
        "issuer": issuer,
        "policy": policy,
        "acquired_at": time_of(moment),
    }


def time_of(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main() -> None:
    assets = [asset(row, number) for row in COLLECTIONS for number in range(1, row[-1] + 1)]
    assets.sort(key=lambda one: (one["acquired_at"], one["contract"], one["token_id"]))
    head = {
        "note": "Made up by tools/make_assets.py: no contract, token, issuer or amount stands for a real one.",
        "exported_at": "2026-01-05T08:00:00Z",
        "count": len(assets),
    }
    lines = ",\n".join(json.dumps(one, ensure_ascii=False) for one in assets)
    start = json.dumps(head, ensure_ascii=False)[:-1]
    OUTPUT.write_text(f'{start}, "assets": [\n{lines}\n]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
