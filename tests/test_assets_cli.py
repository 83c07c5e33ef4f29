"""`bsim assets`: the sample that ships, tables and JSON, what is refused and how it is told."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from helpers import MNEMONIC
from test_cli import bsim  # noqa: F401 - the fixture

from bsim.cli.assets_list import clipped, width
from bsim.cli.demo_story import samples

SAMPLE = str(samples() / "assets.json")
ALICE = "0x70997970C51812dc3A010C7d01b50e0d17dc79C8"
BOB = "0x3C44CdDdB6a900fa2b585dd299e03d12FA4293BC"
CORE = "cfx:acg158kvr8zanb1bs048ryb6rtrhr283ma70vz70tx"
TERMS = ("--nonce", "7", "--gas", "120000", "--max-fee", "30gwei", "--max-priority-fee", "1gwei")
APE = ("--contract", "0xBC4CA0EdA7647A8aB7C2061c2E118A18a936f13D", "--token", "7537")


@pytest.fixture
def card(tmp_path, monkeypatch, bsim):  # noqa: F811
    """A plain card file with an Ethereum and a Conflux key; answers its name."""
    path = str(tmp_path / "card.bsim")
    bsim("new", path, "--mnemonic", MNEMONIC, "--insecure-plain", secret=True)
    bsim("wallet", "derive", "ethereum", "--on", path)
    bsim("wallet", "derive", "conflux", "--on", path)
    return path


def test_the_sample_is_imported_once_and_listed(card, bsim):  # noqa: F811
    first = bsim("assets", "import", "--on", card, SAMPLE, "--json").json
    given = json.loads(Path(SAMPLE).read_text("utf-8"))["assets"]
    assert first == {"added": len(given), "known": 0, "assets": len(given)}
    assert len(given) >= 200
    assert bsim("assets", "import", "--on", card, SAMPLE).out == (
        f"0 added, {len(given)} there already; the card lists {len(given)}\n"
    )
    listed = bsim("assets", "list", "--on", card, "--json")
    assert listed.out.count("\n") == 1
    found = listed.json
    own = {"number", "state"}
    assert [{k: v for k, v in one.items() if k not in own} for one in found] == given
    assert [one["number"] for one in found] == list(range(1, len(given) + 1))
    assert bsim("card", "info", card, "--json").json["assets"] == len(given)
    assert {one["state"] for one in found} == {"held"}


def test_the_sample_is_of_many_kinds():
    """Public chains and a permissioned one, Chinese and English, images inside and elsewhere."""
    given = json.loads(Path(SAMPLE).read_text("utf-8"))["assets"]
    assert {(one["family"], one["chain_id"]) for one in given} == {
        ("evm", 1),
        ("evm", 1030),
        ("conflux", 1029),
        ("fisco-bcos", "taian-ddc"),
    }
    assert {one["standard"] for one in given} == {"ERC-721", "ERC-1155", "CRC-721", "CRC-1155", "permissioned"}
    assert {one["media"].partition(":")[0] for one in given} == {"ipfs", "data"}
    assert {tuple(one["policy"]) for one in given} >= {(), ("transferable",), ("transferable", "not-for-resale")}
    assert {one["name"].isascii() for one in given} == {True, False}


def test_the_sample_is_what_its_tool_writes(tmp_path):
    tool = Path(__file__).parents[1] / "tools" / "make_assets.py"
    written = subprocess.run(
        [sys.executable, "-c", "import sys, runpy; m = runpy.run_path(sys.argv[1]); m['main'].__globals__['OUTPUT'] = "
         "__import__('pathlib').Path(sys.argv[2]); m['main']()", str(tool), str(tmp_path / "out.json")],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    assert written.stderr == ""
    assert (tmp_path / "out.json").read_text("utf-8") == Path(SAMPLE).read_text("utf-8")


def test_an_import_that_was_broken_off_goes_on(card, bsim, tmp_path):  # noqa: F811
    given = json.loads(Path(SAMPLE).read_text("utf-8"))["assets"]
    part = tmp_path / "part.json"
    part.write_text(json.dumps([*given[:50], *given[:10]]))
    assert bsim("assets", "import", "--on", card, str(part), "--json").json == {"added": 50, "known": 10, "assets": 50}
    # A fault in the middle: what was added stays, and the next import adds the rest.
    broken = bsim("assets", "import", "--on", card, SAMPLE, "--fault", "on ADD_ASSET nth 20 answer 6581", code=1)
    kept = len(bsim("assets", "list", "--on", card, "--json").json)
    assert 50 < kept < 70
    assert f"bsim: of {len(given) - 50} only the first {kept - 50} were added\n" in broken.err
    last = bsim("assets", "import", "--on", card, SAMPLE, "--json").json
    assert last == {"added": len(given) - kept, "known": kept, "assets": len(given)}


def test_a_list_is_what_an_import_takes(card, bsim, tmp_path):  # noqa: F811
    bsim("assets", "import", "--on", card, SAMPLE)
    listed = bsim("assets", "list", "--on", card, "--json").out
    other = str(tmp_path / "other.bsim")
    bsim("new", other, "--insecure-plain")
    assert bsim("assets", "import", "--on", other, "-", stdin=listed)
    assert bsim("assets", "list", "--on", other, "--json").out == listed


def test_filters(card, bsim):  # noqa: F811
    bsim("assets", "import", "--on", card, SAMPLE)
    everything = bsim("assets", "list", "--on", card, "--json").json

    def listed(*words):
        return bsim("assets", "list", "--on", card, "--json", *words).json

    ethereum = [one for one in everything if one["chain_id"] == 1]
    assert ethereum
    for text in ("ethereum", "1", "evm:1", "Ethereum"):
        assert listed("--chain", text) == ethereum
    core = [one for one in everything if one["family"] == "conflux"]
    assert listed("--chain", "conflux") == listed("--chain", "conflux:1029") == listed("--slot", "2") == core
    ddc = listed("--chain", "fisco-bcos:taian-ddc")
    assert ddc == listed("--slot", "3") == [one for one in everything if one["family"] == "fisco-bcos"]
    contract = core[0]["contract"]
    assert listed("--contract", contract) == [one for one in everything if one["contract"] == contract]
    assert listed("--contract", contract, "--chain", "conflux", "--slot", "2") == listed("--contract", contract)
    assert listed("--contract", contract, "--slot", "1") == []
    assert bsim("assets", "list", "--on", card, "--slot", "9").out == "no such assets\n"


def test_the_table(card, bsim):  # noqa: F811
    assert bsim("assets", "list", "--on", card).out == "no assets yet; bsim assets import or add lists some\n"
    bsim("assets", "add", "--on", card, "--chain", "ethereum", *APE, "--name", "Ape #7537", "--issuer", "Yuga Labs")
    bsim("assets", "add", "--on", card, "--chain", "conflux", "--contract", CORE, "--token", "5", "--name", "敦煌飞天",
         "--policy", "transferable,gift-only", "--standard", "CRC-1155", "--amount", "3", "--slot", "2")  # fmt: skip
    bsim(
        "assets",
        "add",
        "--on",
        card,
        "--chain",
        "chainmaker:chain1",
        "--contract",
        "shop",
        "--token",
        "0x10",
        "--policy",
        "",
    )
    lines = bsim("assets", "list", "--on", card).out.splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["1", "1", "Ethereum", "ERC-721", "7537", "1", "Ape", "#7537", "Yuga", "Labs"],
        ["2", "2", "Conflux", "CRC-1155", "5", "3", "敦煌飞天", "gift", "only"],
        ["3", "1", "chainmaker:chain1", "permissioned", "16", "1", "shop", "bound"],
    ]
    starts = {width(line[: line.index(word)]) for line, word in zip(lines, ("name", "Ape", "敦", "shop"), strict=True)}
    assert len(starts) == 1, "columns stand where they stand, whatever is written in them"


def test_text_is_clipped_by_the_columns_it_takes():
    assert (width("ab"), width("敦煌"), width("a敦")) == (2, 4, 3)
    assert clipped("敦煌飞天", 8) == "敦煌飞天"
    assert clipped("敦煌飞天", 7) == "敦煌飞…"
    assert clipped("abcdefgh", 5) == "abcd…"


def test_show_add_and_remove(card, bsim):  # noqa: F811
    added = bsim(
        "assets", "add", "--on", card, "--chain", "1030", *APE, "--standard", "ERC-1155", "--amount", "0x10",
        "--media", "ipfs://x", "--acquired", "2025-01-31T12:00:00Z", "--json",
    ).json  # fmt: skip
    assert (added["number"], added["amount"], added["acquired_at"]) == (1, "16", "2025-01-31T12:00:00Z")
    assert bsim("assets", "show", "1", "--on", card, "--json").json == added
    assert "ipfs://x" in bsim("assets", "show", "1", "--on", card).out
    again = bsim("assets", "add", "--on", card, "--chain", "1030", *APE, code=1)
    assert "it is listed already" in again.err
    assert bsim("assets", "remove", "1", "--on", card, "--json").json == {"removed": [1]}
    for words in (("show", "1"), ("remove", "1"), ("transfer", "1", "--to", ALICE, *TERMS)):
        assert "no asset of this number" in bsim("assets", *words, "--on", card, code=1).err
    assert "no number of an asset" in bsim("assets", "show", "0", "--on", card, code=2).err


def test_all_are_removed_or_none(card, bsim):  # noqa: F811
    def listed():
        return [one["number"] for one in bsim("assets", "list", "--on", card, "--json").json]

    bsim("assets", "import", "--on", card, SAMPLE)
    before = listed()
    none = bsim("assets", "remove", "12", "9998", "3", "9999", "--on", card, code=1)
    assert "no asset of this number: 9998, 9999; nothing was removed" in none.err
    assert listed() == before
    broken = bsim(
        "assets", "remove", "12", "3", "5", "--fault", "on REMOVE_ASSET nth 2 answer 6581", "--on", card, code=1
    )
    assert "bsim: of 3 only the first was removed\n" in broken.err
    assert before == sorted([*listed(), 12])
    assert bsim("assets", "remove", "5", "3", "5", "--on", card).out == "removed 5, 3\n"
    assert before == sorted([*listed(), 12, 5, 3])


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("answer 6581", "of 3 none were removed"),
        ("mute late", "of 3 none were removed; perhaps one was"),
        ("nth 2 mute late", "of 3 only the first was removed; perhaps one more was"),
        ("nth 3 answer 6581", "of 3 only the first 2 were removed"),
    ],
)
def test_it_is_told_how_far_it_came(card, bsim, fault, told):  # noqa: F811
    bsim("assets", "import", "--on", card, SAMPLE)
    words = ("remove", "12", "3", "5", "--fault", f"on REMOVE_ASSET {fault}")
    assert f"bsim: {told}\n" in bsim("assets", *words, "--on", card, code=1).err


def test_contacts(card, bsim):  # noqa: F811
    assert bsim("assets", "contacts", "--on", card).out == "no contacts\n"
    bsim("assets", "contacts", "add", "Alice", ALICE, "--on", card)
    assert bsim("assets", "contacts", "add", "陈", CORE, "--on", card, "--json").json == [
        {"name": "Alice", "address": ALICE},
        {"name": "陈", "address": CORE},
    ]
    long = "Somebody whose name is longer"
    bsim("assets", "contacts", "add", long, BOB, "--on", card)
    assert f"{long}  {BOB}" in bsim("assets", "contacts", "--on", card).out
    assert "not text" in bsim("assets", "contacts", "add", "\udcff", BOB, "--on", card, code=2).err
    bsim("assets", "contacts", "remove", long, "--on", card)
    assert bsim("assets", "contacts", "remove", "Alice", "--on", card).out.split() == ["陈", CORE]
    assert "the card knows 陈" in bsim("assets", "contacts", "remove", "Bob", "--on", card, code=2).err
    assert "no address of a chain known here" in bsim("assets", "contacts", "add", "B", "0x1", "--on", card, code=1).err
    for words in (("add", "A"), ("remove",), ("list", "A"), ("remove", "A", "B")):
        bsim("assets", "contacts", *words, "--on", card, code=2)


def test_a_transfer_to_a_friend(card, bsim):  # noqa: F811
    bsim("assets", "add", "--on", card, "--chain", "ethereum", *APE, "--name", "Ape #7537")
    bsim("assets", "contacts", "add", "Alice", ALICE, "--on", card)
    transfer = ("assets", "transfer", "1", "--to", "Alice", *TERMS, "--on", card)
    no = bsim(*transfer, "--handset", "no", code=1)
    assert "nothing was signed: the user did not say yes" in no.err
    assert bsim("assets", "show", "1", "--on", card, "--json").json["state"] == "held"
    told = bsim(*transfer)
    assert f"Alice ({ALICE})" in told.out
    assert "verified  yes" in told.out
    assert bsim("assets", "show", "1", "--on", card, "--json").json["state"] == "leaving"
    assert "--again" in bsim(*transfer, code=1).err
    again = bsim(*transfer, "--again", "--json").json
    assert (again["to"], again["verified"], again["title"]) == (ALICE, True, "Transfer NFT #7537")
    assert again["raw"].startswith("0x02")
    assert "leaving" in bsim("assets", "list", "--on", card).out


def test_what_policy_forbids(card, bsim):  # noqa: F811
    bsim("assets", "add", "--on", card, "--chain", "ethereum", *APE, "--policy", "transferable,not-for-resale")
    sale = bsim("assets", "transfer", "1", "--to", ALICE, *TERMS, "--purpose", "sale", "--on", card, code=1)
    assert "6986" in sale.err
    assert "policy forbids it" in sale.err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("transfer", "1", "--to", "Bob", *TERMS), "no contact 'Bob'"),
        (("transfer", "1", "--to", CORE, *TERMS), "no address of the asset's chain"),
        (("transfer", "1", "--to", ALICE, *TERMS[:-1], "1ether"), "a fee is a whole number"),
        (("transfer", "1", "--to", ALICE, *TERMS, "--amount", "-1"), "no negative numbers"),
        (("transfer", "1", "--to", ALICE, *TERMS, "--amount", "2"), "more than there is"),
        (("transfer", "1", "--to", "0x1", *TERMS), "not 0x and an even number of hex digits"),
        (("transfer", "1", "--to", ALICE, *TERMS, "--amount", "0"), "nothing would be transferred"),
        (("transfer", "1", "--to", ALICE, *TERMS, "--storage-limit", "2"), "Conflux Core Space only"),
        (("transfer", "2", "--to", ALICE, *TERMS), "ERC and CRC tokens only"),
        (("list", "--chain", "nowhere"), "FAMILY:ID"),
        (("list", "--chain", "evm:x"), "FAMILY:ID"),
        (("list", "--slot", "0"), "1 to 127"),
        (("list", "--contract", "0x12"), "20 bytes"),
        (("add", "--chain", "ethereum", "--contract", "x", "--token", "1"), "contract"),
        (("add", "--chain", "ethereum", *APE[:2], "--token", "x"), "token_id"),
        (("add", "--chain", "ethereum", *APE[:2], "--token", "9" * 200), "token_id: more digits than"),
        (("add", "--chain", "ethereum", *APE[:2], "--token", "0x" + "f" * 200), "token_id: more digits than"),
        (("contacts", "add", "a" * 300, ALICE), "CONTACTS: contact has 0 to 148 bytes; nothing was sent"),
        (("list", "--contract", "a" * 300), "LIST_ASSETS: wanted has 0 to 64 bytes"),
        (("add", "--chain", "ethereum", *APE, "--policy", "free"), "policy: one of transferable"),
        (("add", "--chain", "ethereum", *APE, "--acquired", "yesterday"), "acquired_at: a time"),
        (("add", "--chain", "ethereum", *APE, "--media", "no uri"), "media: a URI"),
        (("add", "--chain", "ethereum", *APE, "--amount", "2"), "amount: 1, where a token has one owner"),
        (("add", "--chain", "ethereum", *APE, "--slot", "128"), "slot"),
    ],
)
def test_what_is_typed_wrong(card, bsim, words, told):  # noqa: F811
    bsim("assets", "add", "--on", card, "--chain", "ethereum", *APE)
    bsim("assets", "add", "--on", card, "--chain", "chainmaker:chain1", "--contract", "shop", "--token", "1")
    assert told in bsim("assets", *words, "--on", card, code=2).err


ONE = {"family": "evm", "chain_id": 1, "contract": APE[1], "token_id": "1", "standard": "ERC-721"}


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ({}, "a list of assets is wanted"),
        ({"assets": 1}, "a list of assets is wanted"),
        ([1], "asset 1: an object is wanted"),
        ([ONE, {}], "asset 2: family: missing"),
        ([{**ONE, "colour": "red"}], "colour: no field of an asset"),
        ([{**ONE, "family": "solana"}], "family: one of evm, conflux"),
        ([{**ONE, "chain_id": None}], "chain_id: a number or text"),
        ([{**ONE, "chain_id": 0}], "chain_id: a chain id is 1 or more"),
        ([{**ONE, "contract": 5}], "contract: text is wanted"),
        ([{**ONE, "standard": "ERC-20"}], "standard: one of ERC-721"),
        ([{**ONE, "token_id": 1 << 256}], "token_id"),
        ([{**ONE, "policy": "transferable"}], "policy: not a list"),
        ([{**ONE, "name": "a\nb"}], "name: printable"),
        ([{**ONE, "media": "m:" + "x" * 1030}], "media: at most 1024 bytes"),
    ],
)
def test_files_that_are_none(card, bsim, given, told):  # noqa: F811
    said = bsim("assets", "import", "--on", card, "-", stdin=json.dumps(given), code=2)
    assert told in said.err
    assert bsim("assets", "list", "--on", card, "--json").json == []


def test_an_import_may_be_of_another_slot(card, bsim):  # noqa: F811
    bsim("assets", "import", "--on", card, SAMPLE, "--slot", "5")
    assert {one["slot"] for one in bsim("assets", "list", "--on", card, "--json").json} == {5}
    assert "--slot" in bsim("assets", "import", "--on", card, SAMPLE, "--slot", "0", code=2).err


def test_a_strict_card_says_so(tmp_path, bsim):  # noqa: F811
    path = str(tmp_path / "strict.bsim")
    bsim("new", path, "--insecure-plain", "--profile", "strict")
    assert "6D00" in bsim("assets", "list", "--on", path, code=1).err


def test_help_has_examples(capsys, bsim):  # noqa: F811
    for verb in ("list", "add", "remove", "show", "transfer", "import", "contacts"):
        assert "examples:" in bsim("assets", verb, "--help").out


def test_the_demo_shows_a_gallery(bsim):  # noqa: F811
    told = bsim("demo", "--through", "memory").out
    assert "敦煌飞天" in told
    assert "the card lists 234 assets" in told
    gallery = bsim("demo", "--through", "memory", "--json").json["gallery"]
    assert gallery["assets"] == 234
    assert len({one["contract"] for one in gallery["shown"]}) == len(gallery["shown"]) == 12
