import pytest

pytest.register_assert_rewrite("tests.e2e.books", "tests.e2e.steps")
