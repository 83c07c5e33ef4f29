"""A process that uses a card file, killed at random moments: nothing acknowledged is lost, nothing is half-written."""

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path

import pytest
from card_files import KEY_FILE, fast_folder, load
from helpers import BPIN, ETHEREUM, bare_card, bip39_seed, public_key, running
from kill_child import ISSUED

from bsim.applets import assets_state, signing_state
from bsim.applets.wallet_state import LAYOUT, MAX_TRIES
from bsim.chains.asset import State
from bsim.crypto.mnemonic import seed as seed_of
from bsim.store import Given, SqliteStore

SEED = int(os.environ.get("BSIM_TEST_SEED", "20260401"))
CHILD = Path(__file__).with_name("kill_child.py")
RESTORED = seed_of(bytes(range(16)))


@pytest.fixture(params=["memory", "disk"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    if request.param == "disk":
        yield tmp_path / "card.bsim"
    else:
        with fast_folder() as folder:
            yield folder / "card.bsim"


class Expected:
    """What the card must be by what its user was told; what was begun last may be done or not."""

    def __init__(self) -> None:
        self.seed, self.slots, self.bpin = bip39_seed(), 0, BPIN
        self.assets: dict[int, tuple[int, State]] = {}
        self.last = 0
        self.device = False
        self.login: int | None = None
        """What the last sign-in to the site said it was issued at, since the card may sign in there by itself."""

    def done(self, action: str, new: str) -> None:
        if action == "derive":
            self.slots += 1
        elif action == "change":
            self.bpin = new
        elif action == "restore":
            self.assets = self.assets if self.seed == RESTORED else {}
            self.seed, self.slots, self.login = RESTORED, 0, None
        elif action == "attest":
            self.device = True
        elif action == "login":
            self.login = max(self.login or 0, ISSUED + int(new))
        elif action == "add":
            self.last += 1
            self.assets[self.last] = (int(new), State.HELD)
        elif action == "remove":
            del self.assets[int(new)]
        elif action == "transfer":
            self.assets[int(new)] = (self.assets[int(new)][0], State.LEAVING)

    @property
    def all(self) -> tuple[object, ...]:
        """Everything that is compared."""
        return self.seed, self.slots, self.bpin, self.assets, self.last, self.device, self.login

    def settle(self, records: Mapping[str, bytes], begun: tuple[str, str] | None) -> str:
        """Judge a card that comes back; what was begun counts as done if the card has it."""
        state = LAYOUT.load(records)
        tokens, last = assets(records)
        signing = signing_state.LAYOUT.load(records)
        assert bool(signing.device_key) == bool(signing.certificate), "a device key without its certificate"
        login = signing.policies[0].last if signing.policies else None
        found = (state.seed, len(state.slots), state.bpin.decode(), tokens, last, bool(signing.device_key), login)
        outcome = "before"
        if begun and found != self.all:
            self.done(*begun)
            outcome = "after"
        assert found == self.all, "lost or half-written"
        spent = begun is not None and begun[0] in {
            "verify",
            "wrong",
            "change",
            "restore",
            "add",
            "remove",
            "transfer",
            "login",
        }
        assert state.tries in ({MAX_TRIES, MAX_TRIES - 1, MAX_TRIES - 2} if spent else {MAX_TRIES})
        for number, slot in enumerate(state.slots, 1):
            assert slot.public_key == KEYS(number, self.seed), "a slot without its key"
        return outcome


def assets(records: Mapping[str, bytes]) -> tuple[dict[int, tuple[int, State]], int]:
    """The token ids and states by the card's numbers, and the number given last."""
    tokens = {one.number: (int.from_bytes(one.token_id), one.state) for one in assets_state.listed(records)}
    return tokens, assets_state.LAYOUT.load(records).last


class _Keys(dict[tuple[int, bytes], bytes]):
    def __call__(self, number: int, seed: bytes) -> bytes:
        if (number, seed) not in self:
            self[number, seed] = public_key(ETHEREUM, number, 1, seed)
        return self[number, seed]


KEYS = _Keys()


@pytest.mark.parametrize("kills", [10, pytest.param(500, marks=pytest.mark.soak)])
def test_killed(path: Path, kills: int) -> None:
    with closing(SqliteStore(path, create=True, unlock=Given(KEY_FILE))) as store:
        bare_card(store=store)
    rng, expected, tally, acknowledged = random.Random(SEED), Expected(), Counter[str](), 0
    for number in range(kills):
        lines = life(path, expected.bpin, rng)
        begun: tuple[str, str] | None = None
        for line in lines:
            what, action, new = line.split()
            assert what in {"begin", "done"}, line
            begun = (action, new) if what == "begin" else None
            if what == "done":
                expected.done(action, new)
                acknowledged += 1
        outcome = expected.settle(load(path, KEY_FILE), begun)
        tally[f"{begun[0] if begun else 'idle'}, {outcome}"] += 1
        restore_tries(path)
        if not lines:
            tally["nothing begun"] += 1
        assert number < kills
    print(f"kills, seed {SEED}: {kills}; {acknowledged} acknowledged, 0 lost, 0 half-written; killed in {dict(tally)}")
    assert acknowledged > kills


def restore_tries(path: Path) -> None:
    """Give the tries back, so that a thousand kills do not block the card."""
    with closing(SqliteStore(path, unlock=Given(KEY_FILE))) as store:
        store.write({"wallet.tries": bytes((MAX_TRIES,))})


def life(path: Path, bpin: str, rng: random.Random) -> list[str]:
    """Let a process use the card and kill it; answers what it said, whole lines only."""
    search = [str(CHILD.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(search)}
    words = (str(CHILD), str(path), str(rng.getrandbits(32)))
    with running(*words, stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=environment) as child:
        assert child.stdin is not None
        assert child.stdout is not None
        assert child.stderr is not None
        assert child.stdout.readline() == "ready\n"
        child.stdin.write(f"{bpin}\n")
        child.stdin.flush()
        # Most are killed within a few writes; some live long enough to finish a RESTORE SEED and its key derivation.
        time.sleep(rng.uniform(0, rng.choice((0.02, 0.06, 0.2, 0.4))))
        child.send_signal(signal.SIGKILL)
        said, faults = child.stdout.read(), child.stderr.read()
    # A process that was about to end by itself, in a traceback, is one that a kill would cover up.
    assert (child.returncode, faults) == (-signal.SIGKILL, "")
    return said.rpartition("\n")[0].splitlines()
