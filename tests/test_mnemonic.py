"""BIP-39 against its published English set."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import load

from bsim.crypto import ecdsa, mnemonic
from bsim.crypto.derive import Bip32

BIP39 = load("bip39")
WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
ENTROPIES = st.sampled_from(mnemonic.ENTROPY_LENGTHS).flatmap(lambda n: st.binary(min_size=n, max_size=n))


def test_the_set_is_whole() -> None:
    assert len(BIP39["vectors"]) == 24


@pytest.mark.parametrize("vector", BIP39["vectors"], ids=lambda v: v["entropy"][:8])
def test_bip39(vector: dict[str, str]) -> None:
    entropy, words = bytes.fromhex(vector["entropy"]), vector["mnemonic"]
    assert mnemonic.from_entropy(entropy) == words
    assert mnemonic.to_entropy(words) == entropy
    seed = mnemonic.seed(words, BIP39["passphrase"])
    assert seed.hex() == vector["seed"]
    assert mnemonic.seed(entropy, BIP39["passphrase"]) == seed
    assert len(Bip32(ecdsa.engine()).master(seed).secret) == 32


@given(ENTROPIES)
def test_round_trip(entropy: bytes) -> None:
    assert mnemonic.to_entropy(mnemonic.from_entropy(entropy)) == entropy


def test_case_and_space_do_not_matter() -> None:
    entropy = mnemonic.to_entropy(WORDS)
    for text in (WORDS.upper(), f"  {WORDS}\n", WORDS.replace(" ", "\t \u3000"), WORDS.title()):
        assert mnemonic.to_entropy(text) == entropy
        assert mnemonic.seed(text) == mnemonic.seed(WORDS)


def test_passphrases_are_normalised() -> None:
    assert mnemonic.seed(WORDS, "\u00e9") == mnemonic.seed(WORDS, "e\u0301")
    assert mnemonic.seed(WORDS, "\u00e9") != mnemonic.seed(WORDS, "e")


@pytest.mark.parametrize("count", [0, 1, 11, 13, 16, 25])
def test_word_counts(count: int) -> None:
    with pytest.raises(ValueError, match=f"not {count}$"):
        mnemonic.to_entropy(" ".join(["abandon"] * count))


def test_unknown_words_are_named_by_their_place() -> None:
    words = WORDS.split()
    words[2], words[11] = "correct-horse", "battery-staple"
    with pytest.raises(ValueError, match=r"word 3, 12$") as refused:
        mnemonic.to_entropy(" ".join(words))
    assert not any(word in str(refused.value).split(":")[1] for word in words)


def test_the_checksum_is_checked() -> None:
    words = [*WORDS.split()[:-1], "zoo"]
    with pytest.raises(ValueError, match="checksum") as refused:
        mnemonic.to_entropy(" ".join(words))
    assert not set(words) & set(str(refused.value).split())
    assert refused.value.__cause__ is None
    with pytest.raises(ValueError, match="checksum"):
        mnemonic.seed(" ".join(words))


@pytest.mark.parametrize("length", [0, 15, 17, 33, 64])
def test_entropy_lengths(length: int) -> None:
    for use in (mnemonic.from_entropy, mnemonic.seed):
        with pytest.raises(ValueError, match=f"not {length}$"):
            use(bytes(length))
