import json
from dataclasses import replace
from importlib import resources
from typing import Any

import pytest
from jsonschema import Draft202012Validator, ValidationError
from pydantic import ValidationError as RecordError

from testbed.core.record import (
    SCHEMA_VERSION,
    ChangeKind,
    Role,
    RunRecord,
    dump_record,
    load_record,
    record_schema,
)
from testbed.core.result import Metric, NodeCount, Placement, Verdict
from testbed.tests.unit.records import (
    boot_failure_run,
    build_failure_run,
    clean_run,
    make_cell,
    make_run,
    make_test,
    single_kernel_run,
    wrong_node_run,
)

SCHEMA_TEXT = resources.files("testbed.core").joinpath("record.schema.json").read_text("utf-8")
SCHEMA = json.loads(SCHEMA_TEXT)
RUNS = {
    "wrong node": wrong_node_run(),
    "clean": clean_run(),
    "one kernel": single_kernel_run(),
    "no boot": boot_failure_run(),
    "no build": build_failure_run(),
    "no cells": make_run([]),
}

every_run = pytest.mark.parametrize("run", RUNS.values(), ids=RUNS)


def dump_to_json(run: RunRecord) -> Any:  # noqa: ANN401 - JSON is what it is
    return json.loads(dump_record(run))


def is_valid(instance: object) -> bool:
    return Draft202012Validator(SCHEMA).is_valid(instance)


def test_the_schema_in_the_repository_is_the_generated_one() -> None:
    assert record_schema() == SCHEMA_TEXT


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


@every_run
def test_a_dumped_record_validates(run: RunRecord) -> None:
    errors = Draft202012Validator(SCHEMA).iter_errors(dump_to_json(run))
    assert [error.message for error in errors] == []


@every_run
def test_a_record_survives_the_way_to_disk(run: RunRecord) -> None:
    text = dump_record(run)
    assert load_record(text) == run
    assert load_record(text.encode()) == run
    assert text.endswith("}\n")


def test_a_record_keeps_its_types() -> None:
    run = load_record(dump_record(wrong_node_run()))
    (change, *_) = run.comparison
    assert change.kind is ChangeKind.REGRESSED
    assert change.after is Verdict.CRASHED
    assert run.cells[0].kernel.role is Role.BASE
    assert isinstance(run.cells, tuple)
    assert isinstance(run.cells[0].tests[0].metrics[0], Metric)


def test_control_characters_in_a_message_survive() -> None:
    message = "nul \x00 escape \x1b[31m del \x7f </script> ]]> \u202e 🐧 \r\n\t"
    run = make_run([make_cell([make_test(message=message)])])
    assert load_record(dump_record(run)).cells[0].tests[0].message == message


@pytest.mark.parametrize("verdict", ["exploded", "PASSED", "", None, 1])
def test_an_unknown_verdict_is_refused(verdict: object) -> None:
    dumped = dump_to_json(clean_run())
    dumped["cells"][0]["tests"][0]["verdict"] = verdict
    with pytest.raises(ValidationError):
        Draft202012Validator(SCHEMA).validate(dumped)
    with pytest.raises(RecordError, match="verdict"):
        load_record(json.dumps(dumped))


@pytest.mark.parametrize(
    ("key", "value"),
    [("kind", "worse"), ("before", "fine"), ("topology", None), ("test", 7)],
)
def test_a_wrong_change_is_refused(key: str, value: object) -> None:
    dumped = dump_to_json(clean_run())
    dumped["comparison"][0][key] = value
    assert not is_valid(dumped)
    with pytest.raises(RecordError, match=key):
        load_record(json.dumps(dumped))


@pytest.mark.parametrize("key", ["schema_version", "id", "host", "cells", "exit_code"])
def test_a_record_without_a_key_is_refused(key: str) -> None:
    dumped = dump_to_json(clean_run())
    del dumped[key]
    assert not is_valid(dumped)
    with pytest.raises(RecordError, match=key):
        load_record(json.dumps(dumped))


@pytest.mark.parametrize("text", ["", "{", "[]", "null"])
def test_what_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(RecordError):
        load_record(text)


def test_a_number_for_a_text_is_not_taken_for_one() -> None:
    dumped = dump_to_json(clean_run())
    dumped["exit_code"] = "0"
    assert not is_valid(dumped)
    with pytest.raises(RecordError, match="exit_code"):
        load_record(json.dumps(dumped))


def test_the_names_that_other_tools_read_are_where_they_were() -> None:
    dumped = dump_to_json(wrong_node_run())
    assert dumped["schema_version"] == SCHEMA_VERSION == 1
    cell = dumped["cells"][1]
    assert cell["kernel"]["role"] == "patched"
    assert cell["topology"] == "numa2"
    test = cell["tests"][0]
    assert test["verdict"] == "failed"
    assert test["metrics"] == [{"name": "mbind_move", "value": 13.1, "unit": "us/page"}]
    assert test["placements"][0] == {
        "what": "private anon after mbind(MOVE)",
        "expected": [{"node": 1, "pages": 16}],
        "seen": [{"node": 0, "pages": 16}],
    }
    assert dumped["comparison"][0] == {
        "test": "guest-tests/mempolicy/mbind.c::global.move_all_shared",
        "topology": "numa2",
        "kind": "regressed",
        "before": "passed",
        "after": "crashed",
    }
    assert dumped["exit_code"] == 1


@pytest.mark.parametrize(
    ("expected", "seen", "is_as_expected"),
    [
        ([(1, 16)], [(1, 16)], True),
        ([(1, 16)], [(0, 16)], False),
        ([(0, 0), (1, 16)], [(1, 16)], True),
        ([(0, 8), (1, 8)], [(1, 8), (0, 8)], True),
        ([(1, 16)], [(1, 15), (-1, 1)], False),
        ([], [], True),
    ],
)
def test_a_placement_knows_whether_it_is_as_expected(
    expected: list[tuple[int, int]], seen: list[tuple[int, int]], *, is_as_expected: bool
) -> None:
    placement = Placement(
        what="a mapping",
        expected=tuple(NodeCount(node=n, pages=p) for n, p in expected),
        seen=tuple(NodeCount(node=n, pages=p) for n, p in seen),
    )
    assert placement.is_as_expected is is_as_expected


def test_a_record_is_compared_by_value() -> None:
    assert replace(clean_run(), seconds=1.0) != clean_run()
    assert clean_run() == clean_run()
