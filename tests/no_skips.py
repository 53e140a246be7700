"""A pytest plugin (`-p tests.no_skips`) for a machine that lacks nothing: a test that is skipped there fails."""

from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    report = yield
    return _failed(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    report = yield
    return _failed(report)


def _failed(report: Any) -> Any:
    # An expected failure is reported as skipped, too.
    if report.skipped and not hasattr(report, "wasxfail"):
        report.outcome, report.longrepr = "failed", f"skipped, which nothing may be here: {report.longrepr[2]}"
    return report
