"""Published test vectors, one JSON file a standard; README.md says where each is from."""

import json
from pathlib import Path
from typing import Any


def load(name: str) -> Any:
    """Answer the content of a vector file, which must say its source."""
    content = json.loads((Path(__file__).parent / f"{name}.json").read_text())
    assert content["source"]
    return content
