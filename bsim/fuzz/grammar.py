"""The declared commands as the fuzzer's hot loop uses them: everything it asks of an entry is a look into a table."""

from functools import cache
from typing import Final

from bsim import tlv
from bsim.apdu import CLAS, body, cla_on_channel
from bsim.applets.routes import Routes
from bsim.card.commands import FILE_ROUTES, ISSUER_ROUTES, WALLET_ROUTES
from bsim.fuzz import cards
from bsim.spec import Command, Cost, Danger, Kind, Spec, domains, spec
from bsim.sw import SwError

_REMEMBERED: Final = 60_000
_TRIES_LEFT: Final = frozenset({"63C*", "9840"})
_COUNTED: Final = frozenset({0x61, 0x6C, 0x91})
_WARNINGS: Final = frozenset({0x61, 0x62, 0x63, 0x91, 0x9F})


class Entry:
    """One declared command. `index` numbers all of them; `examples` are those that end well, or all if none does."""

    __slots__ = (
        "_allowed",
        "applet",
        "command",
        "dialogue",
        "domains",
        "examples",
        "index",
        "least",
        "makes",
        "manages",
        "most",
        "name",
        "needs",
        "safe",
        "signs",
        "slow",
        "spends_tries",
        "tlv",
    )

    def __init__(self, command: Command, index: int) -> None:
        self.command: Final = command
        self.name: Final = command.name
        self.applet: Final = command.applet
        self.index: Final = index
        self.needs: Final = command.needs
        self.makes: Final = command.makes
        self.slow: Final = command.crypto is Cost.SLOW
        self.signs: Final = command.crypto is Cost.SIGNATURE
        self.safe: Final = command.danger is Danger.SAFE
        self.manages: Final = command.applet == "issuer" and not self.safe
        """Whether it may change which applications there are."""
        # A PIN's own commands say how many tries are left: 63Cx, and 9840 in class A0.
        self.spends_tries: Final = command.danger is Danger.CONSUMES_TRY or not _TRIES_LEFT.isdisjoint(command.sw)
        self.dialogue: Final = any(pattern.startswith("91") for pattern in command.sw)
        self.domains: Final = tuple(domains.of(field) for field in command.data)
        self.least: Final = sum(field.encoded_minimum for field in command.response)
        self.most: Final = command.response_maximum
        self.tlv: Final = any(field.kind is Kind.TLV for field in command.data)
        good = [one for one in command.examples if one.sw.startswith(("90", "91"))]
        self.examples: Final = tuple(cards.at_home(one.command) for one in good or command.examples)
        self._allowed: dict[int, bool] = {}

    def allows(self, sw: int) -> bool:
        """Whether the card may answer this status word."""
        known = self._allowed.get(sw)
        if known is None:
            known = self._allowed[sw] = spec().allows(self.command, sw)
        return known

    def fits(self, raw: bytes) -> bool:
        """Whether parameters, lengths and coded values of a whole command are those that are declared."""
        command = self.command
        if raw[2] not in command.p1.legal or raw[3] not in command.p2.legal:
            return False
        try:
            start, end, _ = body(raw)
        except SwError:
            return False
        if not command.lc_minimum <= end - start <= command.lc_maximum:
            return False
        return self._tlv_fits(raw[start:end]) if self.tlv else self._values_fit(raw, start)

    def _tlv_fits(self, data: bytes) -> bool:
        wanted = [(field.tag, field.minimum, field.maximum) for field in self.command.data]
        for parse in (tlv.parse, tlv.parse_simple):
            try:
                found = [(one.tag, len(one.value)) for one in parse(data)]
            except tlv.TlvError:
                continue
            if len(found) == len(wanted) and all(
                tag == own and least <= size <= most
                for (tag, size), (own, least, most) in zip(found, wanted, strict=True)
            ):
                return True
        return False

    def _values_fit(self, raw: bytes, at: int) -> bool:
        for field in self.command.data:
            if field.values and int.from_bytes(raw[at : at + field.maximum], "big") not in field.values.values():
                return False
            at += field.maximum
        return True


class Grammar:
    """All entries, and which of them a command is meant for."""

    def __init__(self, declared: Spec) -> None:
        commands = [command for applet in declared.applets.values() for command in applet.commands.values()]
        self.entries: Final = tuple(Entry(command, index) for index, command in enumerate(commands))
        self.by_name: Final = {entry.name: entry for entry in self.entries}
        self.aids: Final = {aid: name for name, applet in declared.applets.items() for aid in applet.aids}
        self.spec: Final = declared
        # Where nothing else is selected, the file system answers; an application of it has the same commands.
        files = self._answered(FILE_ROUTES)
        own = {"wallet": self._answered(WALLET_ROUTES.in_use), "issuer": self._answered(ISSUER_ROUTES)}
        self._answers: Final = {name: own.get(name, files) for name in ("", *declared.applets)}
        self._shared: Final = {name: _by_instruction(entries) for name, entries in self._answers.items()}
        self._found: dict[tuple[str, bytes], Entry | None] = {}
        self._common: dict[int, bool] = {}

    def answers(self, applet: str) -> tuple[Entry, ...]:
        """Answer the commands there are while an applet (or nothing: "") is selected."""
        return self._answers[applet]

    def find(self, applet: str, raw: bytes) -> Entry | None:
        """Answer the entry a command is meant for while an applet (or nothing: "") is selected on its channel."""
        key = applet, raw[:4]
        if key in self._found:
            return self._found[key]
        if len(self._found) > _REMEMBERED:
            self._found.clear()
        sharing = self._shared[applet].get((CLAS[raw[0]].base, raw[1])) if len(raw) > 3 else None
        entry = None
        if sharing is not None:
            entry = next((one for one in sharing if one.command.takes(raw)), sharing[-1])
        self._found[key] = entry
        return entry

    def name(self, raw: bytes) -> str:
        """Name the command that bytes are most likely meant for; ? for none."""
        found = (self.find(applet, raw) for applet in self._answers)
        return next((entry.name for entry in found if entry is not None), "?")

    def common(self, sw: int) -> bool:
        """Whether any command may be answered so."""
        known = self._common.get(sw)
        if known is None:
            known = self._common[sw] = self.spec.allows(None, sw)
        return known

    def allowed_somewhere(self, raw: bytes, sw: int) -> bool:
        """Whether a command may be answered so by anything that could be selected."""
        found = (self.find(applet, raw) for applet in self._answers)
        return any(entry.allows(sw) for entry in found if entry is not None)

    def _answered(self, routes: Routes) -> tuple[Entry, ...]:
        return tuple(self.by_name[command.name] for command in routes.commands())


def _by_instruction(entries: tuple[Entry, ...]) -> dict[tuple[int, int], list[Entry]]:
    found: dict[tuple[int, int], list[Entry]] = {}
    for entry in entries:
        for cla in entry.command.cla:
            found.setdefault((cla, entry.command.ins), []).append(entry)
    return found


@cache
def grammar() -> Grammar:
    """Answer what ships with the package."""
    return Grammar(spec())


@cache
def on_channel(base: int, channel: int) -> int:
    """Answer the class byte of `base` on a channel; the basic channel's where there is none."""
    try:
        return cla_on_channel(base, channel)
    except ValueError:
        return base


def counted(sw: int) -> int:
    """Answer a status word without its second byte where that is a length: 61xx, 6Cxx and 91xx are one each."""
    return sw & 0xFF00 if sw >> 8 in _COUNTED else sw


def ended_well(sw: int) -> bool:
    """Whether a command was carried out, as far as its status word tells: 9000, 61xx, 62xx, 63xx, 91xx."""
    return sw == 0x9000 or sw >> 8 in _WARNINGS
