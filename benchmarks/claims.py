"""The claims of a benchmark: a JSON line at the end of its output, and the exit code."""

import json
from typing import Any


def at_least(name: str, value: float, bound: float) -> dict[str, Any]:
    """Return the claim that a measured value is at least `bound`."""
    return {"name": name, "value": round(value, 4), "bound": round(bound, 4), "holds": value >= bound}


def at_most(name: str, value: float, bound: float) -> dict[str, Any]:
    """Return the claim that a measured value is at most `bound`."""
    return {"name": name, "value": round(value, 4), "bound": round(bound, 4), "holds": value <= bound}


def conclude(claims: list[dict[str, Any]]) -> int:
    """Print the claims as the last line; return 0 if all hold, 1 if one does not."""
    print(json.dumps({"claims": claims}))
    return 0 if all(claim["holds"] for claim in claims) else 1
