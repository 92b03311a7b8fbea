"""How every benchmark ends: its claims as one JSON line, and a status that says whether they hold."""

import json
from typing import Any


def at_least(name: str, value: float, bound: float) -> dict[str, Any]:
    """The claim that a measured value reaches its bound."""
    return {"name": name, "value": round(value, 4), "bound": round(bound, 4), "holds": value >= bound}


def at_most(name: str, value: float, bound: float) -> dict[str, Any]:
    """The claim that a measured value does not pass its bound."""
    return {"name": name, "value": round(value, 4), "bound": round(bound, 4), "holds": value <= bound}


def conclude(claims: list[dict[str, Any]]) -> int:
    """Print the claims as the last line; 0 where all hold, 1 where one does not."""
    print(json.dumps({"claims": claims}))
    return 0 if all(claim["holds"] for claim in claims) else 1
