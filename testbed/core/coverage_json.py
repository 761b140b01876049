"""What the guest tests cover, as JSON for other tools."""

import dataclasses
import json
from typing import Any

from testbed.core.coverage import CoverageReport, State, Table


def dump_coverage(report: CoverageReport) -> str:
    """Return the JSON text of ``report``, with all of its squares."""
    data = {
        "tests": report.tests,
        "quick": report.quick,
        "tables": [_describe_table(table) for table in report.tables],
        "contract": [dataclasses.asdict(claim) for claim in report.contract],
        "promises": [dataclasses.asdict(claim) for claim in report.promises],
        "known": [{"test": test, "why": why} for test, why in report.known],
        "contradictions": [
            {"test": test, **dataclasses.asdict(cell), "why": why}
            for test, cell, why in report.contradictions
        ],
    }
    return json.dumps(data, indent=2) + "\n"


def _describe_table(table: Table) -> dict[str, Any]:
    return {
        "title": table.title,
        "rows": dict(table.rows),
        "columns": dict(table.columns),
        **{str(state): table.count(state) for state in State},
        "cells": [
            {
                "row": square.row,
                "column": square.column,
                "state": str(square.state),
                "tests": list(square.tests),
                "why": "" if square.tests else square.why,
            }
            for square in table.squares.values()
        ],
    }
