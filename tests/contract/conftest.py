from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.contract.scene import Scene


@pytest.fixture
def scene(case: dict[str, Any], demo: None, factory: Any, settings: Any, tmp_path: Path) -> Iterator[Scene]:
    with ExitStack() as stack:
        yield Scene(case, factory=factory, settings=settings, directory=tmp_path, stack=stack)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A case that is skipped is a case that failed."""
    report = yield
    if report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped: {report.longrepr}"
    return report
