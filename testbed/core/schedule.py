"""What more workers would bring: the same tests, laid out on N of them by calculation.

A model of one pytest-xdist run, a little better than its ``--dist worksteal``: a worker that is
free takes the next test in order. What keeps N workers from being N times as fast is in it: each
starts up first; a cell's guest is booted and saved once, and whoever needs it meanwhile waits; the
controller hands out tests one at a time; the last test to end keeps the others idle. What is not in
it: that workers disturb each other, so there must be a core for each.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from heapq import heapreplace


@dataclass(frozen=True, slots=True, kw_only=True)
class CellLoad:
    """The tests of one cell, in order, and what its saved state costs.

    ``durations_s`` are measured with one worker: from asking for a guest to its end. ``state_s`` is
    the boot and the saving, 0 where the cache has the state.
    """

    durations_s: tuple[float, ...]
    state_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Costs:
    """What is not a test's own, in seconds.

    ``controller_s`` is for the controller to start before it has workers, ``worker_s`` for the
    workers to start and collect, all at a time. ``handling_s`` is the controller's work for each
    test, done for one test at a time, ahead of the worker that waits for it: no test begins before
    it is handed out.
    """

    controller_s: float = 0.0
    worker_s: float = 0.0
    handling_s: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """What ``workers`` workers make of a load.

    ``seconds`` is the time to the end of the last test; ``speed_up`` the time of one worker by it;
    ``efficiency`` that by ``workers``, 1.0 at best.
    """

    workers: int
    seconds: float
    speed_up: float
    efficiency: float


def simulate(cells: Iterable[CellLoad], *, workers: int, costs: Costs) -> float:
    """Return the seconds that ``workers`` workers take for all tests of ``cells``, in order.

    Raises :class:`ValueError` where there is no worker or a time is negative.
    """
    cells = tuple(cells)
    if workers < 1:
        raise ValueError(f"{workers} workers: at least one is needed")
    times = (*(t for cell in cells for t in (*cell.durations_s, cell.state_s)), *_list(costs))
    if min(times) < 0:
        raise ValueError(f"{min(times)} s: a time cannot be negative")
    ended = handed_out = costs.controller_s + costs.worker_s
    free_at = [ended] * workers
    for cell in cells:
        state_ready: float | None = None
        for duration_s in cell.durations_s:
            handed_out += costs.handling_s
            began = max(free_at[0], handed_out)
            if state_ready is None:
                state_ready = began + cell.state_s
            end = max(began, state_ready) + duration_s
            heapreplace(free_at, end)
            ended = max(ended, end)
    return ended


def simulate_curve(
    cells: Iterable[CellLoad], *, workers: Iterable[int], costs: Costs
) -> tuple[Throughput, ...]:
    """Return the throughput of each number of ``workers``, against one worker with equal costs."""
    cells = tuple(cells)
    alone_s = simulate(cells, workers=1, costs=costs)
    return tuple(
        _compare(alone_s, simulate(cells, workers=number, costs=costs), workers=number)
        for number in workers
    )


def _compare(alone_s: float, seconds: float, *, workers: int) -> Throughput:
    speed_up = alone_s / seconds if seconds else 1.0
    return Throughput(
        workers=workers, seconds=seconds, speed_up=speed_up, efficiency=speed_up / workers
    )


def _list(costs: Costs) -> tuple[float, ...]:
    return (costs.controller_s, costs.worker_s, costs.handling_s)
