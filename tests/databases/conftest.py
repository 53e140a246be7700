import pytest


@pytest.fixture(autouse=True)
def databases_of_their_own(django_db_blocker):
    """These tests make theirs, which pytest-django knows nothing of."""
    with django_db_blocker.unblock():
        yield
