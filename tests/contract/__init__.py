"""Every recorded exchange with the service that this one replaces, and with the factory, played again."""

import pytest

pytest.register_assert_rewrite("tests.contract.compare", "tests.contract.checks", "tests.contract.scene")
