"""`make bench`: runs every measurement and writes JSON, a table and a picture."""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import measure, report

RESULTS = Path(__file__).parent / "results"
MEASUREMENTS = ("command_line", "server_start", "push_to_live", "ten_at_once")


def main() -> None:
    """Measures, prints the table, and writes `benchmarks/results/latest.*`."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("only", nargs="*", choices=[[], *MEASUREMENTS], help="else: all")
    chosen = parser.parse_args().only or MEASUREMENTS
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    results: dict[str, Any] = {"machine": f"{platform.platform()}, {os.cpu_count()} cores"}
    folder = Path(tempfile.mkdtemp(prefix="previewdrop-bench-"))
    try:
        for name in chosen:
            place = folder / name
            place.mkdir()
            results[name] = getattr(measure, name)(place, _tell)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    if len(chosen) < len(MEASUREMENTS):
        print(json.dumps(results, indent=2))
        return
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "latest.json").write_text(json.dumps(results, indent=2) + "\n")
    (RESULTS / "latest.md").write_text(report.table(results))
    report.picture(results, RESULTS / "latest.png")
    print(report.table(results))


def _tell(what: str) -> None:
    print(f"… {what}", file=sys.stderr, flush=True)


main()
