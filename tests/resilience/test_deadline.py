import pytest

from jwtpizza.resilience.deadline import Deadline, DeadlineExceeded


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


def test_all_of_the_time_is_left_at_the_start(clock):
    assert Deadline(5, clock=clock).left() == 5


def test_what_has_passed_is_no_longer_left(clock):
    deadline = Deadline(5, clock=clock)
    clock.now += 3
    assert deadline.left() == 2


@pytest.mark.parametrize("late", [0, 0.001, 1000])
def test_at_the_end_and_after_it_nothing_is_left(clock, late):
    deadline = Deadline(5, clock=clock)
    clock.now += 5 + late
    with pytest.raises(DeadlineExceeded):
        deadline.left()
    with pytest.raises(DeadlineExceeded):
        deadline.cut(1)


def test_a_wait_is_cut_to_what_is_left(clock):
    deadline = Deadline(5, clock=clock)
    assert deadline.cut(3) == 3
    clock.now += 4
    assert deadline.cut(3) == 1


def test_a_deadline_of_no_time_is_over_at_once(clock):
    with pytest.raises(DeadlineExceeded):
        Deadline(0, clock=clock).left()


def test_looking_does_not_move_the_end(clock):
    deadline = Deadline(5, clock=clock)
    clock.now += 1
    assert [deadline.left(), deadline.cut(9), deadline.left()] == [4, 4, 4]


def test_the_wall_clock_does_not_matter(time_machine):
    time_machine.move_to("2026-06-05", tick=False)
    deadline = Deadline(60)
    time_machine.move_to("2036-06-05", tick=False)
    assert 59 < deadline.left() <= 60
    time_machine.move_to("2016-06-05", tick=False)
    assert 59 < deadline.left() <= 60
