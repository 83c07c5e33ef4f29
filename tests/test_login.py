"""Logging in: whose account, which site, asked or not asked, how often and how long."""

import calendar
from random import Random

import pytest
from ecdsa import SECP256k1, VerifyingKey
from helpers import (
    BPIN,
    ENTROPY,
    KEY2,
    MNEMONIC,
    apdu,
    by_hand,
    derive,
    enter,
    exchange,
    expect,
    export,
    new_card,
    open_channel,
    respond,
    seal,
    select,
)
from test_approval import fields
from test_confirm import read_pages, result

import bsim
from bsim.chains import conflux, evm
from bsim.chains.personal import digest as personal_digest
from bsim.client import CardError
from bsim.profiles import power_on
from bsim.store import RamStore

ETHEREUM, CONFLUX = 0x14, 0x15
ISSUED = calendar.timegm((2026, 1, 1, 12, 0, 0))
DAY = 86_400
UNTIL = ISSUED + 30 * DAY


def written(seconds: int) -> str:
    from datetime import UTC, datetime

    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def message(
    address: str,
    *,
    domain: str = "example.org",
    uri: str | None = None,
    chain: int = 1,
    nonce: str = "32891756",
    issued: int = ISSUED,
    expires: int | None = None,
    before: int | None = None,
    word: str = "Ethereum",
    resource: str | None = None,
) -> bytes:
    lines = [
        f"{domain} wants you to sign in with your {word} account:",
        address,
        "",
        "Sign in.",
        "",
        f"URI: {uri or 'https://' + domain.rpartition('//')[2] + '/login'}",
        "Version: 1",
        f"Chain ID: {chain}",
        f"Nonce: {nonce}",
        f"Issued At: {written(issued)}",
    ]
    lines += [f"Expiration Time: {written(expires)}"] if expires is not None else []
    lines += [f"Not Before: {written(before)}"] if before is not None else []
    lines += ["Resources:", f"- {resource}"] if resource is not None else []
    return "\n".join(lines).encode()


class Site:
    """A card with a key, whose user is the test."""

    def __init__(self, store: RamStore | None = None, fresh: bool = True, coin: int = 60) -> None:
        self.store = store or RamStore()
        if fresh:
            self.card = by_hand(store=self.store)
            derive(self.card, coin)
        else:
            self.card = power_on(self.store)  # type: ignore[assignment]
            expect(self.card, "TERMINAL_PROFILE", profile=b"\xff\xff\xff")
            select(self.card)
        enter(self.card, self.card.transmit(apdu("VERIFY_BPIN")), BPIN)
        self.key = export(self.card)[8:73]
        self.address = evm.address(self.key)

    def login(
        self, uses: int = 0, until: int = 0, family: int = ETHEREUM, slot: int = 1, raw: bytes = b"", **options: object
    ) -> bytes:
        text = raw or message(self.address, **options)  # type: ignore[arg-type]
        return self.card.transmit(apdu("LOGIN", slot=slot, family=family, uses=uses, until=until, message=text))

    def yes(self, response: bytes) -> bytes:
        _, question = read_pages(self.card, response)
        return respond(self.card, question, "\1")

    def no(self, response: bytes) -> bytes:
        _, question = read_pages(self.card, response)
        return respond(self.card, question, "\0")

    def allow(self, uses: int, until: int = UNTIL, **options: object) -> None:
        """Log in, and let the card do so by itself from now on."""
        asked = self.yes(self.login(uses, until, **options))  # type: ignore[arg-type]
        assert self.yes(asked) == b"\x90\0"

    def policies(self) -> bytes:
        return expect(self.card, "LOGIN_POLICIES", action="LIST", part="FIRST", number=b"")

    def unasked(self, **options: object) -> bool:
        """Whether the card logged in without asking; a question is answered with no."""
        response = self.login(**options)  # type: ignore[arg-type]
        if response == b"\x90\0":
            assert result(self.card)[1] == 0x9000
            return True
        self.no(response)
        assert result(self.card) == (b"", 0x6985)
        return False


def test_a_sign_in_is_shown_and_signed() -> None:
    site = Site()
    text = message(site.address, expires=ISSUED + 600)
    shown, question = read_pages(site.card, site.login(raw=text))
    told = "".join(shown)
    assert shown[0].startswith("Sign in to example.org\n")
    assert all(part in told for part in (site.address, "32891756", written(ISSUED), "https://example.org/login"))
    assert respond(site.card, question, "\1") == b"\x90\0"
    data, sw = result(site.card)
    assert sw == 0x9000
    digest, r, s, _, _ = fields(data)
    assert digest == personal_digest(b"\x19Ethereum Signed Message:\n", text)
    key = VerifyingKey.from_string(site.key, SECP256k1)
    assert key.verify_digest(r + s, digest)
    assert site.policies() == b""


def test_core_space_has_its_own() -> None:
    site = Site(coin=503)
    for network in (conflux.MAINNET, conflux.TESTNET):
        address = conflux.address(site.key, network)
        text = message(address, chain=network, word="Conflux")
        site.yes(site.login(raw=text, family=CONFLUX))
        digest, *_ = fields(result(site.card)[0])
        assert digest == personal_digest(b"\x19Conflux Signed Message:\n", text)
    expect(site.card, "LOGIN", 0x6A80, slot=1, family=ETHEREUM, uses=0, until=0, message=text)


@pytest.mark.parametrize(
    "options",
    [
        {"uri": "https://example.com/login"},
        {"uri": "https://example.org.example.com/login"},
        {"uri": "https://example.org:8443/login"},
        {"uri": "https://example.org@example.com/login"},
        {"uri": "urn:example.org"},
        {"domain": "http://example.org", "uri": "https://example.org/login"},
        {"domain": "me@example.org", "uri": "https://example.org/login"},
        {"nonce": "1234567"},
        {"nonce": "1234-5678"},
        {"chain": 1 << 64},
        {"expires": ISSUED},
        {"expires": ISSUED - 1},
        {"word": "Conflux"},
        {"domain": "a" * 300 + ".org"},
        {"issued": -1},
        {"issued": calendar.timegm((1900, 1, 1, 0, 0, 0))},
    ],
)
def test_a_message_that_misleads_is_refused(options: dict[str, object]) -> None:
    site = Site()
    for uses in (0, 1):
        assert site.login(uses, UNTIL, **options) == b"\x6a\x80"  # type: ignore[arg-type]
    assert result(site.card) == (b"", 0x6985)
    assert site.policies() == b""


def test_only_the_slots_own_account_signs_in() -> None:
    site = Site()
    derive(site.card)
    second = evm.address(export(site.card)[73 + 8 : 146])
    for raw in (message(second), message("0x" + "11" * 20)):
        assert site.login(raw=raw) == b"\x6a\x80"
        assert exchange(site.card, apdu("SIGN_TRANSACTION", slot=1, family=ETHEREUM, payload=raw)) == (b"", 0x6A80)
    assert site.login(raw=message(second), slot=3) == b"\x6a\x88"
    derive(site.card, 501, 2)
    derive(site.card, 60, 3)
    for slot in (3, 4):
        assert site.login(raw=message(second), slot=slot) == b"\x6a\x80", "a key of another curve has no such account"
    site.yes(site.login(raw=message(second), slot=2))
    assert result(site.card)[1] == 0x9000


def test_sign_transaction_takes_sign_ins_and_always_asks() -> None:
    site = Site()
    site.allow(5)
    raw = message(site.address, issued=ISSUED + 1)
    response = site.card.transmit(apdu("SIGN_TRANSACTION", slot=1, family=ETHEREUM, payload=raw))
    assert response[0] == 0x91
    site.no(response)
    # And as a message it is none of EIP-191's.
    assert exchange(site.card, apdu("SIGN_TRANSACTION", slot=1, family=0x10, payload=raw)) == (b"", 0x6A80)


def test_a_domain_is_remembered_as_often_as_was_allowed() -> None:
    site = Site()
    site.allow(3)
    assert [site.unasked(issued=ISSUED + number) for number in range(1, 6)] == [True, True, True, False, False]


def test_what_was_allowed_survives_power() -> None:
    site = Site()
    site.allow(2)
    again = Site(site.store, fresh=False)
    assert again.unasked(issued=ISSUED + 1)
    third = Site(site.store, fresh=False)
    assert third.unasked(issued=ISSUED + 2)
    assert not Site(site.store, fresh=False).unasked(issued=ISSUED + 3)


def test_the_bpin_is_needed_all_the_same() -> None:
    site = Site()
    site.allow(2)
    site.card.reset()
    select(site.card)
    assert site.login(issued=ISSUED + 1) == b"\x69\x82"


@pytest.mark.parametrize(
    "options",
    [
        {"domain": "example.com"},
        {"domain": "www.example.org"},
        {"domain": "example.org:8443"},
        {"domain": "https://example.org"},
        {"chain": 1030},
        {"issued": ISSUED},  # the very message that was allowed
        {"issued": ISSUED - DAY},
        {"issued": UNTIL},
        {"issued": UNTIL + DAY},
        {"issued": ISSUED + 5, "before": ISSUED + 6},
        {"resource": "urn:recap:eyJhdHQiOnt9LCJwcmYiOltdfQ"},
        {"resource": "URN:ReCap:eyJhdHQiOnt9LCJwcmYiOltdfQ"},
    ],
)
def test_nothing_else_is_allowed_by_that(options: dict[str, object]) -> None:
    site = Site()
    site.allow(5)
    assert not site.unasked(**{"issued": ISSUED + 5, **options})
    assert site.unasked(issued=ISSUED + 5), "a no takes nothing away"


@pytest.mark.parametrize(
    "options",
    [
        {"domain": "EXAMPLE.org"},
        {"issued": UNTIL - 1},
        {"nonce": "abcdefgh12"},
        {"resource": "https://example.org/mine"},
    ],
)
def test_what_is_the_same_site(options: dict[str, object]) -> None:
    site = Site()
    site.allow(1)
    assert site.unasked(**{"issued": ISSUED + 5, **options})


def test_a_message_serves_once() -> None:
    """What was signed without asking is not signed without asking again, nor anything older."""
    site = Site()
    site.allow(5)
    assert site.unasked(issued=ISSUED + 10)
    assert not site.unasked(issued=ISSUED + 10)
    assert not site.unasked(issued=ISSUED + 9)
    assert site.unasked(issued=ISSUED + 11)


def test_a_login_by_hand_counts_as_seen() -> None:
    site = Site()
    site.allow(5)
    site.yes(
        site.card.transmit(
            apdu("LOGIN", slot=1, family=ETHEREUM, uses=0, until=0, message=message(site.address, issued=ISSUED - 5))
        )
    )
    site.allow(1, issued=UNTIL, until=UNTIL + DAY)
    assert not site.unasked(issued=UNTIL)
    assert not site.unasked(issued=ISSUED + 5)
    assert site.unasked(issued=UNTIL + 1)


def test_another_slot_is_asked_for_itself() -> None:
    site = Site()
    derive(site.card)
    second = evm.address(export(site.card)[73 + 8 : 146])
    site.allow(5)
    assert not site.unasked(raw=message(second, issued=ISSUED + 1), slot=2)


@pytest.mark.parametrize("stage", ["first", "second"])
def test_saying_no_remembers_nothing(stage: str) -> None:
    site = Site()
    response = site.login(3, UNTIL)
    if stage == "first":
        assert site.no(response) == b"\x90\0"
        assert result(site.card) == (b"", 0x6985)
    else:
        asked = site.yes(response)
        assert result(site.card)[1] >> 8 == 0x91, "signed once is signed, and the next question waits"
        shown, question = read_pages(site.card, asked)
        assert "example.org" in shown[0]
        assert "3 more" in shown[0]
        assert written(UNTIL) in shown[0]
        respond(site.card, question, "\0")
    assert site.policies() == b""
    assert not site.unasked(issued=ISSUED + 1)


def test_pulling_the_card_between_the_questions() -> None:
    site = Site()
    site.yes(site.login(3, UNTIL))
    site.card.reset()
    expect(site.card, "TERMINAL_PROFILE", profile=b"\xff\xff\xff")
    select(site.card)
    assert result(site.card) == (b"", 0x6985)
    enter(site.card, site.card.transmit(apdu("VERIFY_BPIN")), BPIN)
    assert site.policies() == b""


def test_an_end_before_the_beginning() -> None:
    site = Site()
    for until in (0, ISSUED - 1, ISSUED):
        assert site.login(1, until) == b"\x6a\x80"
    assert site.card.transmit(apdu("GET_STATUS"))[9] == 0


def test_the_card_remembers_so_many_domains_and_no_more() -> None:
    site = Site()
    for number in range(32):
        site.allow(1, domain=f"site{number}.example.org")
    assert site.login(1, UNTIL, domain="one.too.many") == b"\x6a\x84"
    site.yes(site.login(domain="one.too.many"))
    assert result(site.card)[1] == 0x9000, "but logs in"
    site.allow(2, domain="site7.example.org", issued=ISSUED - 1)
    expect(site.card, "LOGIN_POLICIES", action="REMOVE", part="FIRST", number=b"\x05")
    site.allow(1, domain="one.too.many")
    stream, sw = exchange(site.card, apdu("LOGIN_POLICIES", action="LIST", part="FIRST", number=b""))
    while sw == 0x6300:
        more, sw = exchange(site.card, apdu("LOGIN_POLICIES", action="LIST", part="NEXT", number=b""))
        stream += more
    assert stream.count(b"\xe3") >= 32
    assert b"site4.example.org" not in stream
    assert b"one.too.many" in stream
    assert site.unasked(domain="site7.example.org", issued=ISSUED + 2)


def test_a_permission_is_taken_back() -> None:
    site = Site()
    site.allow(5)
    expect(site.card, "LOGIN_POLICIES", action="REMOVE", part="FIRST", number=b"\x01")
    expect(site.card, "LOGIN_POLICIES", 0x6A88, action="REMOVE", part="FIRST", number=b"\x01")
    assert not site.unasked(issued=ISSUED + 1)


@pytest.mark.parametrize(
    ("action", "part", "number", "sw"),
    [
        ("LIST", "FIRST", b"\1", 0x6A80),
        ("REMOVE", "FIRST", b"", 0x6A80),
        ("REMOVE", "NEXT", b"\1", 0x6A86),
        ("LIST", "NEXT", b"", 0x6985),
    ],
)
def test_odd_requests_for_policies(action: str, part: str, number: bytes, sw: int) -> None:
    site = Site()
    expect(site.card, "LOGIN_POLICIES", sw, action=action, part=part, number=number)


def test_another_seed_takes_all_permissions_away() -> None:
    site = Site()
    site.allow(5)
    expect(site.card, "RESTORE_SEED", key2=KEY2, ciphertext=seal(ENTROPY, KEY2))
    derive(site.card)
    assert site.policies() == b""
    assert not site.unasked(issued=ISSUED + 1)


def test_nothing_is_signed_unasked_while_something_else_is_asked() -> None:
    site = Site()
    site.allow(5)
    _, question = read_pages(site.card, site.login(domain="example.com"))
    assert site.login(issued=ISSUED + 1) == b"\x69\x85"
    respond(site.card, question, "\1")
    assert result(site.card)[1] == 0x9000
    assert site.unasked(issued=ISSUED + 1), "the refusal used nothing up"


def test_another_channel_may_log_in_meanwhile() -> None:
    site = Site()
    site.allow(5)
    open_channel(site.card, 1)
    select(site.card, on=1)
    enter(site.card, site.card.transmit(apdu("VERIFY_BPIN", on=1)), BPIN)
    read_pages(site.card, site.login(domain="example.com"))
    raw = message(site.address, issued=ISSUED + 1)
    answer = site.card.transmit(apdu("LOGIN", on=1, slot=1, family=ETHEREUM, uses=0, until=0, message=raw))
    assert answer == b"\x90\0"
    assert result(site.card, on=1)[1] == 0x9000
    assert result(site.card) == (b"", 0x6982)


def test_random_logins_against_a_model() -> None:
    rng = Random(5)
    site = Site()
    allowed: dict[str, list[int]] = {}
    for _ in range(150):
        domain, issued = f"{rng.choice('abc')}.example.org", ISSUED + rng.randrange(40)
        uses, last, until = allowed.get(domain, [0, -1, 0])
        response = site.login(
            *((2, ISSUED + 30) if rng.random() < 0.3 and issued < ISSUED + 30 else (0, 0)), domain=domain, issued=issued
        )
        unasked = uses > 0 and last < issued < until
        assert (response == b"\x90\0") == unasked, (domain, issued, allowed)
        if unasked:
            allowed[domain] = [uses - 1, issued, until]
        elif rng.random() < 0.5:
            site.no(response)
        else:
            asked = site.yes(response)
            if domain in allowed:
                allowed[domain][1] = max(last, issued)
            if asked[0] == 0x91:
                site.yes(asked)
                allowed[domain] = [2, max(last, issued), ISSUED + 30]


def test_through_the_client() -> None:
    wallet = bsim.Wallet(bsim.new_card(mnemonic=MNEMONIC))
    account = wallet.derive(60)
    wallet.verify_bpin()
    assert account.address
    text = message(account.address)
    signed = wallet.login(1, text, uses=1, until=UNTIL)
    key = VerifyingKey.from_string(account.public_key, SECP256k1)
    assert key.verify_digest(signed.raw[:64], signed.digest)
    (policy,) = wallet.policies()
    assert (policy.domain, policy.uses, policy.until, policy.last, policy.slot) == ("example.org", 1, UNTIL, ISSUED, 1)
    wallet.forget(policy.number)
    assert wallet.policies() == []
    with pytest.raises(ValueError, match="URI"):
        wallet.login(1, message(account.address, uri="https://example.com/"))
    refusing = bsim.Wallet(bsim.new_card(mnemonic=MNEMONIC, handset="no"))
    refusing.derive(60)
    refusing.verify_bpin()
    with pytest.raises(CardError) as refusal:
        refusing.login(1, text)
    assert refusal.value.sw == 0x6985


def test_scripted_users_let_themselves_be_logged_in() -> None:
    card = new_card("right,yes,no")
    derive(card)
    expect(card, "VERIFY_BPIN")
    address = evm.address(export(card)[8:73])
    expect(card, "LOGIN", slot=1, family=ETHEREUM, uses=4, until=UNTIL, message=message(address))
    assert result(card)[1] == 0x9000
    assert expect(card, "LOGIN_POLICIES", action="LIST", part="FIRST", number=b"") == b""
