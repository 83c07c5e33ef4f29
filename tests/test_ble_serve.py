"""`bsim serve --ble` as a process of its own, and a phone that reaches it over HCI."""

import asyncio
import json
import re
import signal
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from ble_app import SECONDS, App
from bumble.controller import Controller
from bumble.device import Device, DeviceConfiguration
from bumble.hci import Address
from bumble.host import Host
from bumble.link import LocalLink
from bumble.transport import open_transport

import bsim
from bsim.lab.trace import read
from bsim.links.ble_link import BleError, BleLink
from tests.web_client import SIGN, Client

SELECT = "00A4040010A000000533C000FF860000000000054D"


@asynccontextmanager
async def served(*words, cwd=None):
    """The process, and its ready line."""
    async with served_later(*words, cwd=cwd) as process:
        yield process, json.loads(await process.stdout.readline() or b"null")


@asynccontextmanager
async def served_later(*words, cwd=None):
    """The process, which need not be ready."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bsim", "serve", *words, "--json", cwd=cwd,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        async with asyncio.timeout(SECONDS):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def phone_at(transport):
    async with await open_transport(transport) as hci:
        config = DeviceConfiguration(name="phone", address=Address.generate_static_address())
        phone = Device(config=config, host=Host(hci.source, hci.sink))
        await phone.power_on()
        yield phone


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_virtual_link_is_ready_serves_and_ends(tmp_path, number):
    async def main():
        words = ["--ble", "virtual:127.0.0.1:0", "--ble-name", "CT-one", "--record", "run.bsimtrace"]
        async with served(*words, cwd=tmp_path) as (process, ready):
            assert ready["ready"] is True
            assert (ready["ble"], ready["name"], ready["card"]) == ("virtual:127.0.0.1:0", "CT-one", "ram")
            async with phone_at(ready["phone"]) as phone:
                app = await App.connect(phone)
                assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"
            # That phone went without a word. The next one finds the card all the same.
            async with phone_at(ready["phone"]) as phone:
                app = await App.connect(phone)
                assert str(app.connection.peer_address).removesuffix("/P") == ready["address"]
                assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"
                process.send_signal(number)
                _, err = await process.communicate()
            assert process.returncode == 0, err
            assert b"Traceback" not in err
            assert err.count(b"an app connected") == 2

    asyncio.run(main())
    trace = read(tmp_path / "run.bsimtrace")
    assert trace.start.link == "ble"
    assert [one.name for one in trace.exchanges] == ["SELECT", "SELECT"]


def test_a_link_in_a_program_and_phones_that_come_and_go():
    async def talk(where):
        for _ in range(2):
            async with asyncio.timeout(SECONDS), phone_at(where) as phone:
                app = await App.connect(phone)
                assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"
                if phone.powered_on:  # the next one finds the card though this one reset its controller without a word
                    await phone.host.reset()
                    app = await App.connect(phone)
                    assert await app.exchange("00CA000002") == b"\x6d\x00"

    link = BleLink(bsim.new_card(), "virtual:127.0.0.1:0")
    link.stop()  # before it runs: it does not run for long
    link.run()
    with BleLink(bsim.new_card(), "virtual:127.0.0.1:0") as link:
        assert link.ready.is_set()
        asyncio.run(talk(link.phone))
    assert not link.ready.is_set()


@pytest.mark.parametrize(
    ("transport", "reason"),
    [
        ("virtual", "virtual:HOST:PORT"),
        ("virtual:127.0.0.1:66000", "virtual:HOST:PORT"),
        ("virtual:192.0.2.1:1", "virtual:192.0.2.1:1: "),
        ("nonsense", "no Bluetooth controller at nonsense: unknown transport scheme"),
        ("usb:", "no Bluetooth controller at usb:: AssertionError"),
    ],
)
def test_transports_that_are_none(transport, reason):
    with pytest.raises(BleError, match=re.escape(reason)), BleLink(bsim.new_card(), transport):
        pass


def test_the_app_is_on_the_air_and_its_user_at_the_console():
    """VERIFY BPIN comes over BLE, and is answered over HTTP while the app goes on with 6982."""

    async def main():
        async with served("--ble", "virtual:127.0.0.1:0", "--http", "127.0.0.1:0") as (process, ready):
            card = f"/v1/cards/{ready['card']}"
            async with phone_at(ready["phone"]) as phone:
                app = await App.connect(phone)
                for command in (SELECT, "80A80002050000003C01", "807C000000"):
                    assert (await app.exchange(command))[-2:] == b"\x90\x00"
                assert await app.exchange(SIGN) == b"\x69\x82"
                client = Client(ready["http"])
                (dialogue,) = (await asyncio.to_thread(client.get, f"{card}/dialogues"))[1]["dialogues"]
                await asyncio.to_thread(client.done, f"{card}/dialogues/{dialogue['id']}", {"text": "123456"})
                client.close()
                assert (await app.exchange(SIGN))[-2:] == b"\x90\x00"
            process.send_signal(signal.SIGTERM)
            _, err = await process.communicate()
            assert process.returncode == 0, err
            assert b"Traceback" not in err

    asyncio.run(main())


def test_a_controller_over_tcp_and_its_end():
    """As with a dongle: the process is the host of somebody else's controller."""

    async def main():
        link = LocalLink()
        async with await open_transport("tcp-server:127.0.0.1:0") as card_side:
            Controller("card", card_side.source, card_side.sink, link)
            port = card_side.server.sockets[0].getsockname()[1]
            async with served("--ble", f"tcp-client:127.0.0.1:{port}", "--fault", "on SELECT lose-frame 1 late") as (
                process,
                ready,
            ):
                assert ready["ble"] == f"tcp-client:127.0.0.1:{port}"
                assert "phone" not in ready
                card_side.sink.transport.close()
                _, err = await process.communicate()
                assert process.returncode == 2, err.decode()
                assert b"the radio has gone" in err
                assert b"--fault-seed" in err
            card_side.server.close()

    asyncio.run(main())


@pytest.mark.parametrize("answers", [0, 1], ids=["at once", "in the middle"])
def test_a_controller_that_hangs_up_early(answers):
    async def hang_up(reader, writer):
        for _ in range(answers):
            await reader.readexactly(4)  # HCI_Reset; and its Command Complete. Bluetooth Core, Vol 4, Part E, 7.7.14
            writer.write(bytes.fromhex("040E0401030C00"))
            await writer.drain()
            await reader.readexactly(4)
        writer.close()

    async def main():
        async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as listener:
            where = f"tcp-client:127.0.0.1:{listener.sockets[0].getsockname()[1]}"
            async with served("--ble", where) as (process, ready):
                assert ready is None
                _, err = await process.communicate()
                assert process.returncode == 2
                assert err.decode().splitlines() == [f"bsim: --ble: {where}: the radio has gone"]

    asyncio.run(main())


def test_a_controller_that_comes_later():
    """With a server transport the card waits for its controller."""

    async def main():
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = free.getsockname()[1]
        async with served_later("--ble", f"tcp-server:127.0.0.1:{port}") as process:
            said = await process.stderr.readline()
            assert b"nothing answers" in said
            async with await open_transport(f"tcp-client:127.0.0.1:{port}") as card_side:
                Controller("card", card_side.source, card_side.sink, LocalLink())
                assert json.loads(await process.stdout.readline())["ready"] is True
                process.send_signal(signal.SIGINT)
                assert await process.wait() == 0

    asyncio.run(main())


def test_what_never_answers_is_no_controller(monkeypatch):
    from bsim.links import ble_link

    monkeypatch.setattr(ble_link, "_ANSWER_SECONDS", 0.01)
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        link = BleLink(bsim.new_card(), f"tcp-client:127.0.0.1:{deaf.getsockname()[1]}")
        with pytest.raises(BleError, match="nothing answers there"), link:
            pass


def test_what_is_no_controller_is_told():
    async def main():
        async with served("--ble", "tcp-client:127.0.0.1:1") as (process, ready):
            assert ready is None
            _, err = await process.communicate()
            assert process.returncode == 2
            assert b"no Bluetooth controller at tcp-client:127.0.0.1:1" in err

    asyncio.run(main())


def test_the_page_says_what_is_so():
    """The program in docs/ble.md puts a card on the air."""

    async def main():
        page = (Path(__file__).parents[1] / "docs" / "ble.md").read_text(encoding="utf-8")
        (program,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-u", "-c", program, stdout=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(SECONDS), phone_at((await process.stdout.readline()).decode().strip()) as phone:
                app = await App.connect(phone)
                assert (await app.exchange(SELECT))[-2:] == b"\x90\x00"
        finally:
            process.kill()
            await process.wait()

    asyncio.run(main())
