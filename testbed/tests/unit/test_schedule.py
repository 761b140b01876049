import pytest

from testbed.core.schedule import CellLoad, Costs, Throughput, simulate, simulate_curve

FREE = Costs()


def load(*durations_s: float, state_s: float = 0.0) -> CellLoad:
    return CellLoad(durations_s=durations_s, state_s=state_s)


def test_one_worker_takes_the_sum() -> None:
    costs = Costs(controller_s=1.0, worker_s=0.5)
    cells = [load(1.0, 2.0, state_s=4.0), load(3.0, state_s=8.0)]
    assert simulate(cells, workers=1, costs=costs) == 1.5 + 4 + 1 + 2 + 8 + 3


@pytest.mark.parametrize("workers", [1, 2, 4, 8, 16, 32, 64])
def test_equal_tests_are_shared_out_without_loss(workers: int) -> None:
    assert simulate_curve([load(*[0.5] * 128)], workers=[workers], costs=FREE) == (
        Throughput(workers=workers, seconds=64 / workers, speed_up=workers, efficiency=1.0),
    )


def test_workers_without_a_test_bring_nothing() -> None:
    (two, many) = simulate_curve([load(3.0, 3.0)], workers=[2, 6], costs=FREE)
    assert two == Throughput(workers=2, seconds=3.0, speed_up=2.0, efficiency=1.0)
    assert (many.seconds, many.speed_up) == (3.0, 2.0)
    assert many.efficiency == pytest.approx(1 / 3)


def test_the_longest_test_bounds_the_speed_up() -> None:
    (point,) = simulate_curve([load(10.0, *[1.0] * 10)], workers=[64], costs=FREE)
    assert (point.seconds, point.speed_up) == (10.0, 2.0)


@pytest.mark.parametrize("workers", [2, 3, 4, 8])
def test_tests_are_taken_in_order_also_where_that_is_the_worst(workers: int) -> None:
    """R. L. Graham, Bounds on Multiprocessing Timing Anomalies, 1969: 2 - 1/m of the optimum."""
    short = [1.0] * (workers * (workers - 1))
    assert simulate([load(*short, workers)], workers=workers, costs=FREE) == 2 * workers - 1
    assert simulate([load(workers, *short)], workers=workers, costs=FREE) == workers


def test_the_start_of_the_workers_is_paid_once_by_all_at_a_time() -> None:
    costs = Costs(controller_s=1.0, worker_s=2.0)
    assert simulate([load(1.0, 1.0, 1.0, 1.0)], workers=4, costs=costs) == 4.0
    assert simulate([], workers=4, costs=costs) == 3.0


def test_all_wait_for_the_one_that_makes_the_state() -> None:
    assert simulate([load(1.0, 1.0, 1.0, state_s=5.0)], workers=3, costs=FREE) == 6.0


def test_a_state_is_made_while_others_still_test_the_cell_before() -> None:
    cells = [load(4.0, 1.0), load(1.0, 1.0, state_s=2.0)]
    assert simulate(cells, workers=2, costs=FREE) == 5.0


def test_a_cell_without_tests_boots_nothing() -> None:
    assert simulate([load(state_s=9.0), load(1.0)], workers=2, costs=FREE) == 1.0


def test_the_controller_bounds_the_throughput_whatever_the_workers() -> None:
    costs = Costs(handling_s=0.25)
    assert simulate([load(*[1.0] * 40)], workers=64, costs=costs) == 40 * 0.25 + 1.0
    assert simulate([load(*[1.0] * 40)], workers=2, costs=costs) == 20 * 1.0 + 2 * 0.25


def test_the_controller_hands_out_ahead_of_the_workers_once_they_are_busy() -> None:
    costs = Costs(worker_s=2.0, handling_s=0.5)
    assert simulate([load(1.0, 1.0, 1.0)], workers=1, costs=costs) == 2.0 + 3.5


def test_the_curve_is_against_one_worker_even_where_that_is_not_asked_for() -> None:
    costs = Costs(worker_s=1.0)
    points = simulate_curve([load(*[1.0] * 6)], workers=(2, 3), costs=costs)
    assert [point.seconds for point in points] == [4.0, 3.0]
    assert [point.speed_up for point in points] == [7 / 4, 7 / 3]
    assert [point.efficiency for point in points] == [7 / 8, pytest.approx(7 / 9)]


def test_nothing_to_do_takes_no_time_and_divides_nothing() -> None:
    (point,) = simulate_curve([], workers=[2], costs=FREE)
    assert point == Throughput(workers=2, seconds=0.0, speed_up=1.0, efficiency=0.5)


@pytest.mark.parametrize(
    ("cells", "workers", "costs", "message"),
    [
        ([load(1.0)], 0, FREE, "0 workers"),
        ([load(1.0, -2.0)], 1, FREE, "-2.0 s"),
        ([load(1.0, state_s=-1.0)], 1, FREE, "-1.0 s"),
        ([load(1.0)], 1, Costs(handling_s=-0.5), "-0.5 s"),
    ],
)
def test_what_cannot_be_is_refused(
    cells: list[CellLoad], workers: int, costs: Costs, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        simulate(cells, workers=workers, costs=costs)
