"""Which of QEMU's events end a plug or a removal."""

import pytest

from testbed.host.hotplug import is_eject_end, is_plug_end, is_removal_end
from testbed.host.qmp import QmpEvent


def ost(device: str, status: int, *, source: int = 3) -> QmpEvent:
    info = {"device": device, "status": status, "source": source}
    return QmpEvent(name="ACPI_DEVICE_OST", data={"info": info})


@pytest.mark.parametrize(
    ("event", "ends"),
    [
        (QmpEvent(name="DEVICE_DELETED", data={"device": "dimm1"}), True),
        (QmpEvent(name="DEVICE_DELETED", data={"device": "dimm2"}), False),
        (QmpEvent(name="DEVICE_DELETED", data={"path": "/machine/x"}), False),
        (QmpEvent(name="MEM_UNPLUG_ERROR", data={"device": "dimm1", "msg": "no"}), True),
        (QmpEvent(name="DEVICE_UNPLUG_GUEST_ERROR", data={"device": "dimm1"}), True),
        (ost("dimm1", 0x84), False),  # EJECT_IN_PROGRESS
        (ost("dimm1", 0), False),
        (ost("dimm1", 1), True),
        (ost("dimm1", 0x82), True),
        (ost("dimm2", 1), False),
    ],
)
def test_a_removal_ends_with_the_device_or_with_a_refusal(event: QmpEvent, *, ends: bool) -> None:
    assert is_removal_end(event, "dimm1") is ends


def test_a_plug_ends_with_the_guests_word_on_it() -> None:
    assert is_plug_end(ost("dimm1", 0, source=1), "dimm1")
    assert is_plug_end(ost("dimm1", 1, source=1), "dimm1")
    assert not is_plug_end(ost("dimm2", 0, source=1), "dimm1")
    assert not is_plug_end(QmpEvent(name="DEVICE_DELETED", data={"device": "dimm1"}), "dimm1")


def test_a_late_word_on_the_removal_before_does_not_end_a_plug() -> None:
    assert not is_plug_end(ost("dimm1", 0, source=3), "dimm1")
    assert not is_removal_end(ost("dimm1", 1, source=1), "dimm1")


def test_an_ejection_is_done_with_its_success_alone() -> None:
    done = {"source": 3, "status": 0, "slot": "0", "slot-type": "DIMM"}
    assert is_eject_end(QmpEvent(name="ACPI_DEVICE_OST", data={"info": done}))
    assert not is_eject_end(ost("dimm1", 0x84))
    assert not is_eject_end(ost("dimm1", 0, source=1))
    assert not is_eject_end(QmpEvent(name="DEVICE_DELETED", data={"device": "dimm1"}))
