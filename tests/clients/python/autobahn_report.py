"""Reads a report of the Autobahn suite: names the cases that are not well behaved, and counts."""

import json
import re
import sys
from pathlib import Path

# INFORMATIONAL is what the standard leaves open, NON-STRICT what it lets pass, such as failing at the end of bad UTF-8 rather than at its first byte.
GOOD = {"OK", "NON-STRICT", "INFORMATIONAL"}


def main(folder: Path) -> int:
    index = folder / "index.json"
    agents = json.loads(index.read_text()) if index.exists() else {}
    cases = agents.get("tbx", {})
    passed = failed = 0
    for number, result in cases.items():
        kinds = (result["behavior"], result["behaviorClose"])
        if GOOD.issuperset(kinds):
            passed += 1
            continue
        failed += 1
        details = json.loads((folder / result["reportfile"]).read_text())
        print(f"FAILED  autobahn {number}: {kinds[0]}, close {kinds[1]}, code {result['remoteCloseCode']}")
        for what in ("description", "expectation", "result", "resultClose"):
            print(f"        {what}: {one_line(details[what])}")
    if not cases:
        failed = 1
        print("FAILED  autobahn: no case was run; is there a WebSocket at the address?")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


def one_line(html: str) -> str:
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
