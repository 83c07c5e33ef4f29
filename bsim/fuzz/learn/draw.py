"""A machine as a picture, in Graphviz's language: states with what ends well in them, and edges where they change."""

import subprocess
from collections.abc import Iterable, Iterator
from html import escape
from shutil import which
from typing import Final

from bsim.fuzz.learn.machine import MachineError, Mealy

_FINE: Final = ("9000", "91")
_LOOK: Final = """\
  graph [labelloc=t, fontname="Helvetica,sans-serif", fontsize=16, nodesep=0.35, ranksep=0.7, pad=0.2];
  node [shape=box, style="rounded,filled", fillcolor="#f2f6fa", color="#5b7083", fontname="Helvetica,sans-serif", \
fontsize=12, margin="0.12,0.08"];
  edge [color="#5b7083", fontname="Helvetica,sans-serif", fontsize=10, arrowsize=0.8];"""
_FIRST: Final = ', fillcolor="#dcebd6", penwidth=2'


def dot(machine: Mealy, title: str) -> str:
    """Answer the picture in DOT. What is answered alike in every state, and leads to the same, stands in its title."""
    return "\n".join(("digraph {", _LOOK, *_body(machine, title), "}")) + "\n"


def find_graphviz() -> str:
    """Answer where Graphviz's `dot` is; MachineError says how to have it."""
    found = which("dot")
    if found is None:
        raise MachineError("Graphviz draws the machine and is not installed: its package is graphviz")
    return found


def svg(graphviz: str, drawn: str) -> str:
    """Have a picture in DOT laid out as SVG; MachineError if Graphviz cannot."""
    ran = subprocess.run(  # noqa: S603 - the program is Graphviz, and what it reads is made here
        [graphviz, "-Tsvg"], input=drawn, capture_output=True, encoding="utf-8", check=False
    )
    if ran.returncode:
        raise MachineError(f"Graphviz: {ran.stderr.strip()}")
    return ran.stdout


def _body(machine: Mealy, title: str) -> Iterator[str]:
    between: dict[tuple[int, int], list[str]] = {}
    inside: dict[int, list[str]] = {state: [] for state, _ in machine.edges}
    everywhere = _everywhere(machine)
    for (state, symbol), (output, target) in sorted(machine.edges.items()):
        told = f"{symbol} / {output}"
        if symbol in everywhere:
            continue
        if state != target:
            between.setdefault((state, target), []).append(told)
        elif output.startswith(_FINE):
            inside[state].append(told)
    yield f"  label={_label(title, everywhere.values(), 'CENTER')};"
    for state, told_in in sorted(inside.items()):
        yield f"  {state} [label={_label(str(state), told_in)}{'' if state else _FIRST}];"
    for (state, target), told_on in sorted(between.items()):
        yield f"  {state} -> {target} [label={_label('', told_on)}];"


def _everywhere(machine: Mealy) -> dict[str, str]:
    """What each symbol does that does the same in every state, and leads from all to one."""
    told = {}
    for symbol in machine.alphabet if machine.states > 1 else ():
        edges = {edge for (_, sent), edge in machine.edges.items() if sent == symbol}
        if len(edges) == 1:
            [(output, target)] = edges
            told[symbol] = f"from every state to {target}: {symbol} / {output}"
    return told


def _label(heading: str, lines: Iterable[str], align: str = "LEFT") -> str:
    """One of Graphviz's labels that are like HTML."""
    end = f'<BR ALIGN="{align}"/>'
    head = f"<B>{escape(heading)}</B>{end}" if heading else ""
    body = "".join(f"&#160;{escape(line)}{end}" for line in lines)
    return f'<{head}<FONT POINT-SIZE="10" COLOR="#333333">{body}</FONT>>' if body else f"<{head}>"
