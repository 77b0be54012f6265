"""Ratios, bars, quantiles and the README block of the benchmark harness: pure parts, no process, no time."""

from pathlib import Path

import pytest

from benchmarks import mesh, report
from benchmarks.rate import is_complete, quantile
from benchmarks.reload import summarize
from benchmarks.results import Bar, Results, stand
from benchmarks.scenarios import BARS, SCENARIOS

CPU = Bar(title="small", scenario="small", figure="cpu_us", limit=0.7, over="envoy")


def results(ours: list[float], theirs: list[float], cpu: str = "2 x any") -> Results:
    rounds = {"small": {"meshproxy": [{"cpu_us": v} for v in ours], "envoy": [{"cpu_us": v} for v in theirs]}}
    return Results(date="today", machine={"cpu": cpu}, versions={}, pace={"rounds": 3, "seconds": 1}, rounds=rounds)


def test_a_ratio_is_the_median_of_the_ratios_of_each_round() -> None:
    assert CPU.value(results([10, 30, 20], [20, 30, 100])) == 0.5


def test_a_bar_without_figures_is_not_judged() -> None:
    (one,) = stand(results([], [30]), (CPU,))
    assert (one.value, one.met) == (None, None)


def test_a_bar_that_needs_more_cores_is_measured_but_not_judged() -> None:
    bar = Bar(title="two", scenario="small", figure="cpu_us", limit=1.7, at_least=True, cores=4)
    assert [one.met for one in stand(results([2.0], [1.0]), (bar,))] == [None]
    assert [one.met for one in stand(results([2.0], [1.0], "4 x any"), (bar,))] == [True]


@pytest.mark.parametrize(("value", "met"), [(0.69, True), (0.7, True), (0.71, False)])
def test_a_bar_is_met_at_its_limit(value: float, met: bool) -> None:
    assert CPU.met(value) is met


def test_every_bar_names_a_scenario() -> None:
    names = {scenario.name for scenario in SCENARIOS}
    assert {bar.scenario for bar in BARS} | {bar.over_scenario or bar.scenario for bar in BARS} <= names


def test_quantiles_are_values_that_were_seen() -> None:
    values = [float(value) for value in range(1, 1001)]
    assert [quantile(values, part) for part in (0.5, 0.99, 0.999, 1.0)] == [500, 990, 999, 1000]


def test_a_response_is_complete_with_its_last_body_byte() -> None:
    whole = b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"
    assert [is_complete(bytearray(whole[:size])) for size in (10, len(whole) - 1, len(whole))] == [False, False, True]


def test_reload_delay_is_counted_from_the_swap_until_it_settled() -> None:
    answers = [(0.0, 0.001, True), (0.5, 0.001, True), (1.5, 0.041, True), (9.0, 0.9, False)]
    found = summarize(answers, 1.0, 2.0)
    assert found["delay_ms"] == pytest.approx(40.0)
    assert (found["reload_s"], found["failed"]) == (1.0, 1.0)


def test_readme_block_is_replaced_and_the_rest_is_kept() -> None:
    first = report.with_block("# Title\n\ntext\n", "old")
    assert report.with_block(first, "new \\1") == first.replace("old", "new \\1")
    assert first.startswith("# Title\n\ntext\n")


def test_a_swap_changes_every_file_of_the_configuration_at_once(tmp_path: Path) -> None:
    setup = mesh.Setup(services=2)
    for generation in range(2):
        mesh.swap(tmp_path, mesh.stage(tmp_path, setup, 9080, generation=generation))
    names = {"virtualservice.yaml", "destinationrule.yaml", "serviceentry.yaml"}
    assert {path.name for path in tmp_path.glob("*.yaml")} == names
    assert {path.resolve().parent.name for path in tmp_path.glob("*.yaml")} == {"..generation-1"}


def test_the_farthest_path_is_taken_by_the_last_path_rule_only() -> None:
    for count in (3, 4, 1000):
        setup = mesh.Setup(routes=count)
        path = mesh.farthest_path(setup)
        taken = [p for kind, p in mesh.paths(setup) if (path == p if kind == "exact" else path.startswith(p))]
        assert taken == [[*mesh.paths(setup)][-1][1]]
