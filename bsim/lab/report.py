"""Results of `bsim conform` and `bsim diff` as people, CI servers and programs read them."""

from collections.abc import Iterator, Sequence
from xml.etree import ElementTree

from bsim.lab.conform import Result, Status, conforms, rows

_HEADS = tuple(Status)


def table(results: Sequence[Result]) -> Iterator[str]:
    """A row a command, then every case that differs, is not supported or was skipped for a reason of its own."""
    counted = rows(results)
    width = max((len(name) for name in counted), default=0)
    yield f"{'command':<{width}}  " + "  ".join(f"{head:>{max(len(head), 6)}}" for head in _HEADS)
    for name, counts in counted.items():
        cells = "  ".join(f"{counts[head] or '-':>{max(len(head), 6)}}" for head in _HEADS)
        yield f"{name:<{width}}  {cells}"
    for status in (Status.DIFFERS, Status.NOT_SUPPORTED):
        found = [result for result in results if result.status is status]
        if found:
            yield ""
        for result in found:
            yield f"{status}: {result.case.name}: {result.words}"
            if status is Status.DIFFERS:
                yield from (f"    > {command}\n    < {answer}" for command, answer in result.exchanges)
    yield ""
    yield summary(results)


def summary(results: Sequence[Result]) -> str:
    """One line."""
    counts = {status: sum(result.status is status for result in results) for status in Status}
    told = ", ".join(f"{count} {status}" for status, count in counts.items() if count)
    return f"{'conforms' if conforms(results) else 'does not conform'}: {told or 'nothing was sent'}"


def as_json(target: str, results: Sequence[Result]) -> dict[str, object]:
    """Everything, for programs."""
    return {
        "target": target,
        "conforms": conforms(results),
        "commands": {
            name: {str(status): counts[status] for status in Status} for name, counts in rows(results).items()
        },
        "cases": [_case(result) for result in results],
    }


def junit(target: str, results: Sequence[Result]) -> str:
    """JUnit's XML, as CI servers read it: a suite a command, a test a case."""
    suites = ElementTree.Element("testsuites", {"name": printable(f"bsim conform {target}"), **_counts(results)})
    for name in rows(results):
        own = [result for result in results if result.command == name]
        suite = ElementTree.SubElement(suites, "testsuite", {"name": name, **_counts(own)})
        for result in own:
            test = ElementTree.SubElement(
                suite, "testcase", classname=name, name=printable(result.case.title), time=f"{result.seconds:.6f}"
            )
            if result.status is Status.DIFFERS:
                failure = ElementTree.SubElement(test, "failure", message=printable(result.words))
                failure.text = printable("\n".join(f"> {a}\n< {b}" for a, b in result.exchanges))
            elif result.status is not Status.PASS:
                ElementTree.SubElement(test, "skipped", message=printable(f"{result.status}: {result.words}"))
    ElementTree.indent(suites)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suites, encoding="unicode") + "\n"


def _counts(results: Sequence[Result]) -> dict[str, str]:
    failures = sum(result.status is Status.DIFFERS for result in results)
    skipped = sum(result.status in {Status.SKIPPED, Status.NOT_SUPPORTED} for result in results)
    seconds = sum(result.seconds for result in results)
    return {
        "tests": str(len(results)),
        "failures": str(failures),
        "errors": "0",
        "skipped": str(skipped),
        "time": f"{seconds:.6f}",
    }


def _case(result: Result) -> dict[str, object]:
    return {
        "command": result.case.command,
        "kind": str(result.case.kind),
        "title": result.case.title,
        "danger": str(result.case.danger),
        "status": str(result.status),
        "words": result.words,
        "exchanges": [{"command": command, "response": answer} for command, answer in result.exchanges],
    }


def printable(text: str) -> str:
    """XML 1.0 takes no control characters but these."""
    return "".join(character for character in text if character.isprintable() or character == "\n")
