"""What is imported late is there when it is asked for, and not before."""

import importlib
import subprocess
import sys

import pytest

from bsim.applets.routes import LateTable
from bsim.card import tables
from bsim.spec import spec

TABLES = {
    "wallet": tables.WALLET,
    "signing": tables.SIGNING,
    "collectibles": tables.COLLECTIBLES,
    "wallet_channel": tables.WALLET_CHANNEL,
    "globalplatform": (tables.GLOBALPLATFORM,),
    "usim": (tables.USIM,),
    "gsm": (tables.GSM,),
}
# What a card in memory on the web server has no use for before somebody asks it something.
UNASKED = (
    "bsim.applets.signing bsim.applets.wallet bsim.chains.evm bsim.client bsim.lab.fault_rules bsim.links.omapi"
    " bsim.spec.decode bsim.spec.load bsim.store.sqlite cryptography h11 importlib.resources sqlite3 tomllib"
)
START = """
import sys
from bsim.cli import main
from bsim.cli import web_serve
web_serve._announce = lambda server, *_: (print(*sys.modules), server.stop())
raise SystemExit(main(["serve", "--http", "127.0.0.1:0"]))
"""


@pytest.mark.parametrize("name", TABLES)
def test_a_table_has_what_is_declared(name: str) -> None:
    for table in TABLES[name]:
        assert isinstance(table, LateTable)
        loaded = table.load()
        assert {key: command for key, (command, _) in loaded.items()} == {one.name: one for one in table.commands}
        assert table.load() is loaded


def test_every_declared_command_is_in_a_table() -> None:
    late = {command.name for some in TABLES.values() for table in some for command in table.commands}
    declared = {name for applet in spec().applets.values() for name in applet.commands}
    eager = set(spec().applets["uicc"].commands) | set(spec().applets["issuer"].declared_by(""))
    assert late | eager == declared
    assert not late & eager


@pytest.mark.parametrize("package", ["bsim", "bsim.chains", "bsim.handset", "bsim.store"])
def test_a_package_has_the_names_it_says(package: str) -> None:
    module = importlib.import_module(package)
    for name in module.__all__:
        assert getattr(module, name) is not None
    with pytest.raises(AttributeError, match=f"module '{package}' has no attribute 'another'"):
        module.another  # noqa: B018


def test_a_server_starts_without_what_nobody_asked_for() -> None:
    pytest.importorskip("h11")
    done = subprocess.run([sys.executable, "-c", START], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "bsim.profiles" in loaded, "it has a card"
    assert not loaded & set(UNASKED.split())
