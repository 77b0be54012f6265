"""Outlier detection as Envoy has it, played with a clock of our own."""

from hypothesis import given
from hypothesis import strategies as st

from meshproxy.plan.outlier import OutlierDetection
from meshproxy.upstream.outlier import Detector, Monitor, Reason


def detector(count=2, **policy):
    policy.setdefault("max_ejection_percent", 100)
    monitors = [Monitor() for _ in range(count)]
    return Detector(OutlierDetection(**policy), monitors), monitors


def answers(subject, monitor, *statuses, now=0.0):
    return [subject.answered(monitor, status, now) for status in statuses]


def test_the_fifth_server_error_in_a_row_ejects_at_once():
    subject, (first, other) = detector()
    assert answers(subject, first, 500, 503, 500, 500) == [None] * 4
    detected = subject.answered(first, 501, 7.0)
    assert (detected.reason, detected.enforced) == (Reason.CONSECUTIVE_5XX, True)
    assert (first.ejected_at, other.ejected_at, subject.ejected) == (7.0, None, 1)


def test_any_other_answer_begins_the_count_anew():
    subject, (first, _) = detector()
    answers(subject, first, 500, 500, 500, 500, 404, 500, 500, 500, 500)
    assert first.ejected_at is None


def test_gateway_errors_are_counted_apart_and_other_server_errors_end_their_row():
    subject, (first, _) = detector(consecutive_gateway=3, consecutive_5xx=0)
    answers(subject, first, 502, 503, 500, 504, 502)
    assert first.ejected_at is None
    assert subject.answered(first, 503, 0.0).reason is Reason.CONSECUTIVE_GATEWAY_FAILURE


def test_zero_never_ejects():
    subject, (first, _) = detector(consecutive_5xx=0)
    answers(subject, first, *[500] * 100)
    assert first.ejected_at is None


def test_no_answer_counts_as_503_or_504():
    for timeout in (False, True):
        subject, (first, _) = detector(consecutive_gateway=2, consecutive_5xx=0)
        subject.failed(first, 0.0, timeout=timeout)
        assert subject.failed(first, 0.0, timeout=timeout).reason is Reason.CONSECUTIVE_GATEWAY_FAILURE


def test_split_counts_failures_of_our_side_apart():
    subject, (first, _) = detector(split=True, consecutive_local_origin=2, consecutive_5xx=1)
    subject.failed(first, 0.0, timeout=False)
    subject.connected(first)
    assert subject.failed(first, 0.0, timeout=True) is None
    assert subject.failed(first, 0.0, timeout=True).reason is Reason.CONSECUTIVE_LOCAL_ORIGIN_FAILURE


def test_exactly_the_listed_statuses_are_errors():
    subject, (first, other) = detector(error_codes=frozenset((404, 503)), consecutive_5xx=2)
    answers(subject, first, 404, 404)
    answers(subject, other, 500, 500, 500)
    assert (first.ejected_at, other.ejected_at) == (0.0, None)


@given(st.integers(1, 30), st.integers(0, 100))
def test_never_more_than_the_percentage_is_ejected(count, percent):
    subject, monitors = detector(count, max_ejection_percent=percent, consecutive_5xx=1)
    for monitor in monitors:
        subject.answered(monitor, 500, 0.0)
    ejected = sum(monitor.ejected_at is not None for monitor in monitors)
    assert ejected == subject.ejected == count * percent // 100


def test_by_default_nobody_of_two_is_ejected_and_that_is_told():
    subject, (first, _) = detector(max_ejection_percent=10)
    assert answers(subject, first, *[500] * 5)[-1].enforced is False
    assert answers(subject, first, *[500] * 4) == [None] * 4  # the count began anew
    assert subject.answered(first, 500, 0.0).enforced is False


def test_it_comes_back_at_the_first_sweep_after_its_time():
    subject, (first, _) = detector(base_ejection_time=30)
    answers(subject, first, *[500] * 5, now=5.0)
    assert subject.sweep(34.9) == []
    assert subject.sweep(35.0) == [first]
    assert (first.ejected_at, first.errors, subject.ejected) == (None, 0, 0)


def test_each_ejection_is_longer_up_to_a_limit():
    subject, (first, _) = detector(base_ejection_time=100)
    lasted = []
    for round_ in range(5):
        start = round_ * 1000.0
        answers(subject, first, *[500] * 5, now=start)
        lasted.append(next(after for after in range(0, 1000, 50) if subject.sweep(start + after)))
    assert lasted == [100, 200, 300, 300, 300]


def test_sweeps_in_good_health_make_the_next_ejection_shorter():
    subject, (first, _) = detector(base_ejection_time=10)
    answers(subject, first, *[500] * 5)
    subject.sweep(10.0)
    assert first.multiplier == 1
    subject.sweep(20.0)
    subject.sweep(30.0)
    assert first.multiplier == 0


def test_what_comes_late_from_an_ejected_endpoint_changes_nothing():
    subject, (first, _) = detector()
    answers(subject, first, *[500] * 20)
    assert (first.ejections, subject.ejected) == (1, 1)


def test_a_new_detector_goes_on_with_the_monitors_of_the_old():
    subject, monitors = detector()
    answers(subject, monitors[0], *[500] * 5)
    successor = Detector(subject.policy, monitors)
    assert successor.ejected == 1
    assert successor.sweep(30.0) == [monitors[0]]
