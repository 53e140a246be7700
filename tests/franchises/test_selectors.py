"""Whose books a user may read."""

import pytest
from django.utils import timezone

from franchises import selectors
from franchises.models import Franchise, Store
from jwtpizza.accounts.models import User


@pytest.fixture
def ann(db):
    return User.objects.create(name="Ann", email="ann@jwt.com")


@pytest.fixture
def bob(db):
    return User.objects.create(name="Bob", email="bob@jwt.com")


def opened(name, *stores, run_by=()):
    franchise = Franchise.objects.create(name=name)
    franchise.admins.add(*run_by)
    for store in stores:
        Store.objects.create(franchise=franchise, name=store)
    return franchise


def readable(user):
    franchises, stores = selectors.franchises_of(user), selectors.stores_of(user)
    return sorted(each.name for each in franchises), sorted(each.name for each in stores)


@pytest.fixture(autouse=True)
def chain(ann, bob):
    """Ann runs two franchises, Bob one of them and one of his own, nobody the last."""
    opened("alone", "Provo", run_by=[ann])
    opened("together", "Orem", "Lehi", run_by=[ann, bob])
    opened("his", "Moab", run_by=[bob])
    opened("nobody's", "Delta")


def test_franchisees_read_the_books_of_what_they_run(ann, bob):
    assert readable(ann) == (["alone", "together"], ["Lehi", "Orem", "Provo"])
    assert readable(bob) == (["his", "together"], ["Lehi", "Moab", "Orem"])


def test_a_diner_reads_none(chain):
    assert readable(User.objects.create(name="Dora", email="dora@jwt.com")) == ([], [])


def test_an_admin_reads_all(chain):
    admin = User.objects.create(name="Ada", email="ada@jwt.com", is_superuser=True)
    assert readable(admin) == (["alone", "his", "nobody's", "together"], ["Delta", "Lehi", "Moab", "Orem", "Provo"])


def test_what_is_closed_stays_in_the_books(ann):
    before = readable(ann)
    Store.objects.filter(name="Provo").update(closed_at=timezone.now())
    Franchise.objects.filter(name="together").update(closed_at=timezone.now())
    assert readable(ann) == before


def test_whoever_runs_a_franchise_no_more_reads_nothing_of_it(bob):
    Franchise.objects.get(name="together").admins.remove(bob)
    assert readable(bob) == (["his"], ["Moab"])
