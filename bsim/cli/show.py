"""Exchanges with a card as people read them: names and values by the declaration."""

from collections.abc import Iterable, Iterator

from bsim.cli.common import Style
from bsim.spec.decode import Answer, Decoded
from bsim.spec.objects import Part

_SHORT = 44
_HEAD, _TAIL = 32, 8
_BRIEF = (16, 4)  # as much as leaves a line of 100 columns room for names
_TEXT = (36, 6)


def exchange(command: Decoded, answer: Answer, style: Style) -> Iterator[str]:
    """One exchange in full."""
    channel = f"  (channel {command.channel})" if command.channel else ""
    yield style.bold(command.name or "?") + style.dim(f"  {command.title}{channel}")
    yield f"  > {command.shown}"
    yield from _parts(command.fields, 6)
    colour = style.good if answer.ok else style.bad
    if len(answer.shown) <= _SHORT:
        yield f"  < {answer.shown}  {colour(answer.meaning)}"
    else:
        yield f"  < {answer.shown}"
        yield f"    {colour(answer.meaning)}"
    yield from _parts((_counted(part, answer) for part in answer.fields), 6)


def _counted(part: Part, answer: Answer) -> Part:
    """What is all of a long response need not be printed twice."""
    whole = len(part.hex) > _SHORT and answer.shown.startswith(f"{part.hex} ")
    return part._replace(hex=f"{len(part.hex) // 2} bytes") if whole else part


def brief(command: Decoded, answer: Answer, style: Style) -> Iterator[str]:
    """One exchange in two lines, long values shortened."""
    fields = ", ".join(f"{part.name} {part.meaning or shortened(part.hex, 8, 4)}" for part in command.fields)
    yield f"  {style.bold(f'{command.name:<18}')}> {shortened(command.shown, *_BRIEF)}" + style.dim(
        f"  {fields}" if fields else ""
    )
    colour = style.good if answer.ok else style.bad
    texts = ", ".join(part.meaning for part in _leaves(answer.fields) if part.meaning and not part.meaning.isdigit())
    meaning = answer.meaning.partition(":")[0] + (f"; {shortened(texts, *_TEXT)}" if texts else "")
    yield f"  {'':<18}< {shortened(answer.shown, *_BRIEF)}  {colour(meaning)}"


def shortened(text: str, head: int = _HEAD, tail: int = _TAIL) -> str:
    """Cut the middle out of a long text."""
    return text if len(text) <= head + tail + 1 else f"{text[:head]}…{text[-tail:]}"


def _parts(parts: Iterable[Part], indent: int) -> Iterator[str]:
    listed = list(parts)
    width = max((len(part.name) for part in listed), default=0)
    for part in listed:
        value = "" if part.parts else part.hex
        meaning = f"  {part.meaning}" if part.meaning else ""
        yield f"{'':<{indent}}{part.name:<{width}}  {value}{meaning}".rstrip()
        yield from _parts(part.parts, indent + 2)


def _leaves(parts: Iterable[Part]) -> Iterator[Part]:
    for part in parts:
        yield part
        yield from _leaves(part.parts)
