import pytest

from tests.incidents.stage import Stage


@pytest.fixture
def stage(db: None) -> Stage:
    return Stage()
