"""Queries and changes that are compiled once say what the queryset itself says."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from threading import Barrier

import pytest
from django.db import DEFAULT_DB_ALIAS, IntegrityError, OperationalError, connection, connections, transaction
from django.db.models import BigIntegerField, F, Q, Value
from django.db.models.sql import InsertQuery
from django.db.models.sql.compiler import SQLCompiler, SQLInsertCompiler, SQLUpdateCompiler
from django.test.utils import CaptureQueriesContext

from franchises.models import Store
from jwtpizza.accounts.models import User
from jwtpizza.databases.prepared import MARKS, MOST_LENGTHS, Prepared, PreparedFor, PreparedInsert, PreparedUpdate
from jwtpizza.fields import from_now
from menu.models import MenuItem
from orders.models import Order, OrderItem, Status
from tests.orders.books import diner, placed, store
from tests.orders.stage import apart
from tests.resilience.kit import BOUND, together

pytestmark = pytest.mark.django_db


@pytest.fixture
def orders():
    """Three of Ann's and two of Bob's."""
    ann, bob = diner("Ann"), diner("Bob")
    here, there = store("Provo"), store("Orem")
    for number, by in enumerate((ann, bob, ann, bob, ann)):
        placed(at=there if number == 2 else here, by=by, minutes=number, total=f"0.{number + 1:08}")
    return list(Order.objects.order_by("pk"))


@pytest.fixture
def menu():
    """The ids of pizzas, more of them than there are statements kept for lengths of lists."""
    pizzas = [MenuItem(title=f"{n}", title_key=f"{n}", price=n) for n in range(MOST_LENGTHS + 3)]
    for pizza in pizzas:
        pizza.save()
    return [pizza.pk for pizza in pizzas]


@pytest.fixture
def compiled(monkeypatch):
    """One entry each time that Django makes SQL of a query, subqueries aside."""
    made = []
    for kind in (SQLCompiler, SQLInsertCompiler, SQLUpdateCompiler):
        real = kind.as_sql

        def as_sql(self, *args, real=real, **kwargs):
            made.extend([self.query] if not self.query.subquery else [])
            return real(self, *args, **kwargs)

        monkeypatch.setattr(kind, "as_sql", as_sql)
    return made


def of_diner():
    return Prepared(lambda diner: Order.objects.filter(diner=diner).order_by("pk"), diner=int)


# --- rows -----------------------------------------------------------------------------------------


def test_the_rows_are_those_that_the_queryset_finds(orders):
    by = of_diner()
    for user in User.objects.all():
        found = list(by.rows(diner=user.pk))
        assert found == list(Order.objects.filter(diner=user).order_by("pk"))
        assert found


def test_instances_are_as_from_any_query(orders):
    [found] = Prepared(lambda pk: Order.objects.filter(pk=pk), pk=int).rows(pk=orders[0].pk)
    assert (found._state.adding, found._state.db) == (False, "default")
    assert {f.attname: getattr(found, f.attname) for f in Order._meta.fields} == {
        f.attname: getattr(orders[0], f.attname) for f in Order._meta.fields
    }
    found.support_link = "x"
    found.save()
    assert Order.objects.get(pk=found.pk).support_link == "x"


def test_what_is_selected_with_them_costs_no_query(orders, django_assert_num_queries):
    with_store = Prepared(lambda pk: Order.objects.select_related("store__franchise", "diner").filter(pk=pk), pk=int)
    with django_assert_num_queries(1):
        found = with_store.first(pk=orders[2].pk)
        assert (found.store.name, found.store.franchise.name, found.diner.name) == ("Orem", "pizzaPocket", "Ann")


def test_what_is_deferred_stays_so(orders):
    found = Prepared(lambda pk: Order.objects.defer("jwt").filter(pk=pk), pk=int).first(pk=orders[0].pk)
    assert found.get_deferred_fields() == {"jwt"}
    assert found.jwt == "pizza"


def test_tuples_and_bare_values_come_as_such(orders):
    rows = Prepared(lambda pk: Order.objects.filter(pk=pk).values_list("pk", "store__name"), pk=int)
    flat = Prepared(lambda pk: Order.objects.filter(pk=pk).values_list("store__name", flat=True), pk=int)
    named = Prepared(lambda pk: Order.objects.filter(pk=pk).values("store__name"), pk=int)
    assert list(rows.rows(pk=orders[2].pk)) == [(orders[2].pk, "Orem")]
    assert list(flat.rows(pk=orders[2].pk)) == ["Orem"]
    assert list(named.rows(pk=orders[2].pk)) == [{"store__name": "Orem"}]


def test_columns_come_as_their_fields_have_them(orders):
    told = ("total", "created_at", "settled_at", "lease_until", "promised", "status")
    found = Prepared(lambda pk: Order.objects.filter(pk=pk).values_list(*told), pk=int).first(pk=orders[1].pk)
    when = datetime(2026, 6, 5, 11, 59, tzinfo=UTC)
    assert found == (Decimal("0.00000002"), when, when, None, False, Status.FULFILLED)
    assert list(map(type, found)) == [Decimal, datetime, datetime, type(None), bool, str]


def test_of_none_the_first_is_none(orders):
    by = of_diner()
    assert (by.first(diner=0), list(by.rows(diner=0))) == (None, [])
    assert by.first(diner=orders[0].diner_id) == orders[0]


# --- parameters -----------------------------------------------------------------------------------


def test_each_parameter_finds_its_places_whatever_the_order(orders):
    at = Prepared(
        lambda status, store, diner: Order.objects.filter(store=store, diner=diner, status=status),
        store=int,
        diner=int,
        status=str,
    )
    wanted = orders[2]
    assert at.first(status="fulfilled", diner=wanted.diner_id, store=wanted.store_id) == wanted
    assert at.first(store=wanted.store_id, status="fulfilled", diner=wanted.diner_id) == wanted
    assert at.first(store=wanted.store_id, diner=wanted.diner_id, status="failed") is None


def test_one_may_stand_in_two_places():
    named = Prepared(lambda name: User.objects.filter(Q(name=name) | Q(email=name)).order_by("pk"), name=str)
    ann, other = diner("Ann"), User.objects.create(name="x", email="Ann")
    assert list(named.rows(name="Ann")) == [ann, other]


def test_what_always_is_the_same_stays(orders):
    of_two = Prepared(
        lambda diner: Order.objects.filter(diner=diner, status__in=["fulfilled", "pending"], promised=False).exclude(
            support_link="%s 100%"
        ),
        diner=int,
    )
    assert set(of_two.rows(diner=orders[0].diner_id)) == {orders[0], orders[2], orders[4]}


@pytest.mark.parametrize("number", range(3))
def test_a_value_may_be_what_a_mark_is(number):
    mark, name = MARKS[int](number), "Ann"
    user = User.objects.create(pk=mark, name=name, email="ann@jwt.com")
    both = Prepared(
        lambda name, pk, email: User.objects.filter(pk=pk, name=name, email=email), name=str, email=str, pk=int
    )
    assert both.first(pk=mark, name=name, email="ann@jwt.com") == user
    assert both.first(pk=mark, name=name, email=str(mark)) is None
    pages = Prepared(lambda pk, start: User.objects.filter(pk=pk)[start : start + 2], pk=int, start=int)
    assert [pages.first(pk=mark, start=start) for start in (0, mark)] == [user, None]


def test_a_value_is_never_a_part_of_the_sql():
    named = Prepared(lambda name: User.objects.filter(name=name), name=str)
    for name in ("' OR 1=1 --", "%s", "%(name)s", "100 %", "\\", "é\U0001f355"):
        assert named.first(name=name) is None
        user = diner(name)
        assert named.first(name=name) == user


def test_a_slice_begins_where_it_is_told(orders):
    ids = [order.pk for order in orders]
    pages = Prepared(
        lambda start, status: (
            Order.objects.filter(status=status).order_by("pk").values_list("pk", flat=True)[start : start + 2]
        ),
        start=int,
        status=str,
    )
    read = [list(pages.rows(start=start, status="fulfilled")) for start in (0, 1, 4, 5, 10**15)]
    assert read == [ids[0:2], ids[1:3], ids[4:6], [], []]


def test_a_slice_may_end_where_it_is_told(orders):
    first = Prepared(lambda most: Order.objects.order_by("pk")[:most], most=int)
    assert [list(first.rows(most=most)) for most in (0, 1, 9)] == [[], orders[:1], orders]


def test_one_that_is_missing_is_an_error(orders):
    with pytest.raises(KeyError, match="diner"):
        list(of_diner().rows(customer=1))
    with pytest.raises(KeyError, match="pk"):
        PreparedUpdate(lambda pk: (Store.objects.filter(pk=pk), {"name": "x"}), pk=int).rows()


def test_one_that_the_query_does_not_have_is_an_error():
    ignored = Prepared(lambda pk, nobody: Order.objects.filter(pk=pk), pk=int, nobody=int)
    with pytest.raises(TypeError, match="nobody"):
        ignored.rows(pk=1, nobody=2)
    changed = PreparedUpdate(lambda pk, nobody: (Store.objects.filter(pk=pk), {"name": "x"}), pk=int, nobody=str)
    with pytest.raises(TypeError, match="nobody"):
        changed.rows(pk=1, nobody="")


def test_one_that_a_field_turns_into_something_else_is_an_error():
    with pytest.raises(TypeError, match="part"):
        Prepared(lambda part: User.objects.filter(name__contains=part), part=str).rows(part="n")


# --- lists ----------------------------------------------------------------------------------------


@pytest.fixture
def of_ids():
    return PreparedFor(lambda ids: MenuItem.objects.filter(pk__in=ids).order_by("-pk").values_list("pk", flat=True))


def test_a_list_has_any_length(menu, of_ids):
    for count in (1, 2, 5, len(menu), 2):
        assert list(of_ids.rows(menu[:count])) == menu[:count][::-1]


def test_for_an_empty_list_nobody_is_asked(of_ids, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert list(of_ids.rows([])) == []


def test_what_is_in_it_twice_or_not_there_is_as_in_any_query(menu, of_ids):
    assert list(of_ids.rows([menu[0], menu[0], 10**12])) == [menu[0]]


def test_more_lengths_than_are_kept_are_made_again(menu, of_ids, compiled):
    for count in [*range(1, len(menu) + 1), 1]:
        assert list(of_ids.rows(menu[:count])) == menu[:count][::-1]
    assert len(compiled) == len(menu) + 1


def test_a_length_is_compiled_once(menu, of_ids, compiled):
    for first in (0, 1, 2):
        assert list(of_ids.rows(menu[first : first + 2])) == menu[first : first + 2][::-1]
    assert len(compiled) == 1


# --- the database ---------------------------------------------------------------------------------


def test_a_query_is_compiled_at_its_first_use_alone(orders, compiled):
    by = of_diner()
    assert compiled == []
    for order in orders:
        assert by.first(diner=order.diner_id)
    assert len(compiled) == 1


def test_a_change_is_compiled_at_its_first_use_alone(orders, compiled):
    change = PreparedUpdate(lambda pk, link: (Order.objects.filter(pk=pk), {"support_link": link}), pk=int, link=str)
    for order in orders:
        assert change.rows(pk=order.pk, link=f"{order.pk}") == 1
    assert len(compiled) == 1
    assert {order.support_link for order in Order.objects.all()} == {f"{order.pk}" for order in orders}


def test_each_use_asks_anew_and_sees_what_changed(orders):
    by = of_diner()
    before = list(by.rows(diner=orders[0].diner_id))
    Order.objects.filter(pk=orders[0].pk).update(diner=orders[1].diner_id)
    assert list(by.rows(diner=orders[0].diner_id)) == before[1:]


def test_it_is_one_query_as_the_queryset_s_own(orders):
    with CaptureQueriesContext(connection) as asked:
        list(of_diner().rows(diner=orders[0].diner_id))
        list(Order.objects.filter(diner=orders[0].diner_id).order_by("pk"))
    prepared, own = (query["sql"] for query in asked.captured_queries)
    assert prepared == own


@pytest.mark.django_db(transaction=True)
def test_each_thread_asks_over_its_own_connection(orders):
    by, asked = of_diner(), {}
    assert by.first(diner=0) is None
    both_ask = Barrier(2)

    @apart
    def rows(number):
        def noted(execute, sql, params, many, context):
            both_ask.wait(BOUND)
            asked[number] = context["connection"]
            return execute(sql, params, many, context)

        with connection.execute_wrapper(noted):
            found = [order.pk for order in by.rows(diner=orders[number].diner_id)]
        return found, connections[DEFAULT_DB_ALIAS]

    (anns, first), (bobs, second) = together(2, rows)
    assert (anns, bobs) == ([orders[n].pk for n in (0, 2, 4)], [orders[n].pk for n in (1, 3)])
    assert asked == {0: first, 1: second}
    assert len({first, second, connections[DEFAULT_DB_ALIAS]}) == 3


@pytest.mark.django_db(transaction=True)
def test_it_outlives_its_connection(orders):
    by = of_diner()
    for _ in range(2):
        assert by.first(diner=orders[0].diner_id) == orders[0]
        connection.close()


def test_what_the_database_says_is_django_s_error(orders):
    def gone(*_):
        raise OperationalError

    by = of_diner()
    for _ in range(2):
        with connection.execute_wrapper(gone), pytest.raises(OperationalError):
            list(by.rows(diner=orders[0].diner_id))
        assert by.first(diner=orders[0].diner_id) == orders[0]


def test_in_a_transaction_that_failed_it_is_refused_as_any_query(orders):
    by = of_diner()
    with transaction.atomic():
        transaction.set_rollback(True)
        with pytest.raises(transaction.TransactionManagementError):
            by.first(diner=orders[0].diner_id)


# --- changes --------------------------------------------------------------------------------------


@pytest.fixture
def earn():
    return PreparedUpdate(
        lambda pk, name: (Store.objects.filter(pk=pk), {"revenue": F("revenue") + 1, "name": name}), pk=int, name=str
    )


def test_a_change_tells_how_many_rows_there_were_changed_or_not(orders):
    change = PreparedUpdate(
        lambda diner, link: (Order.objects.filter(diner=diner), {"support_link": link}), diner=int, link=str
    )
    assert [change.rows(diner=orders[0].diner_id, link="x") for _ in range(2)] == [3, 3]
    assert change.rows(diner=0, link="x") == 0
    assert Order.objects.filter(support_link="x").count() == 3


def test_a_change_may_be_made_of_what_is_there(earn):
    provo, _ = store("Provo"), store("Orem")
    assert [earn.rows(pk=provo.pk, name="Provo 2") for _ in range(2)] == [1, 1]
    assert [(each.name, each.revenue) for each in Store.objects.order_by("pk")] == [
        ("Provo 2", Decimal("0.00000002")),
        ("Orem", 0),
    ]


@pytest.mark.django_db(transaction=True)
def test_a_transaction_that_fails_takes_it_back(earn):
    provo = store("Provo")

    def fail():
        with transaction.atomic():
            assert earn.rows(pk=provo.pk, name="x") == 1
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert Store.objects.get().name == "Provo"


@pytest.fixture
def double(orders):
    """Gives an order a key of Ann's, who has given it to another already."""
    Order.objects.filter(pk=orders[0].pk).update(idempotency_key="once")
    again = PreparedUpdate(lambda pk, key: (Order.objects.filter(pk=pk), {"idempotency_key": key}), pk=int, key=str)
    return lambda: again.rows(pk=orders[2].pk, key="once")


def test_what_a_constraint_forbids_is_django_s_error(double):
    with pytest.raises(IntegrityError), transaction.atomic():
        double()


def test_after_it_nothing_more_happens_in_that_transaction(double, orders):
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            double()
        with pytest.raises(transaction.TransactionManagementError):
            Order.objects.filter(pk=orders[0].pk).update(support_link="half of it")


# --- new rows -------------------------------------------------------------------------------------


def added():
    """An order whose columns are a parameter, an expression, always the same, or left to the database."""
    return PreparedInsert(
        lambda diner, store, total, key: Order(
            diner_id=diner,
            store_id=store,
            total=Value(total, output_field=BigIntegerField()),
            idempotency_key=key,
            lease_until=from_now(60),
            support_link="100% %s",
        ),
        diner=int,
        store=int,
        total=int,
        key=str,
    )


@pytest.fixture
def ann_in_provo():
    return {"diner": diner("Ann").pk, "store": store("Provo").pk}


def test_a_new_row_has_what_the_instance_has(ann_in_provo):
    pk = added().add(**ann_in_provo, total=100_000_000, key="once")
    order = Order.objects.get()
    assert (order.pk, order.diner.name, order.store.name) == (pk, "Ann", "Provo")
    assert (order.total, order.idempotency_key, order.support_link) == (1, "once", "100% %s")
    assert (order.status, order.jwt, order.promised) == (Status.PENDING, None, False)
    assert timedelta(seconds=59) < order.lease_until - order.created_at < timedelta(seconds=61)


def test_each_new_row_has_an_id_and_a_time_of_its_own(ann_in_provo, compiled):
    add = added()
    ids = [add.add(**ann_in_provo, total=number, key=None) for number in range(3)]
    assert len([query for query in compiled if isinstance(query, InsertQuery)]) == 1
    assert ids == list(Order.objects.order_by("created_at", "pk").values_list("pk", flat=True))
    assert [order.idempotency_key for order in Order.objects.all()] == [None] * 3


def test_several_new_rows_are_one_statement_of_any_length(orders, menu, django_assert_num_queries):
    OrderItem.objects.all().delete()
    add = PreparedInsert(
        lambda order, item, name: OrderItem(order_id=order, menu_item_id=item, description=name, price=1),
        order=int,
        item=int,
        name=str,
    )
    for order, count in zip(orders, (1, 3, 2), strict=False):
        with django_assert_num_queries(1):
            add.add_all([{"order": order.pk, "item": menu[n], "name": f"no. {n}"} for n in range(count)])
    found = OrderItem.objects.order_by("pk").values_list("order", "menu_item", "description", "price")
    assert list(found) == [
        (order.pk, menu[n], f"no. {n}", 1)
        for order, count in zip(orders, (1, 3, 2), strict=False)
        for n in range(count)
    ]


def test_what_a_constraint_forbids_is_django_s_error_and_ends_the_transaction(ann_in_provo):
    add = added()
    add.add(**ann_in_provo, total=1, key="once")
    with transaction.atomic():
        with pytest.raises(IntegrityError):
            add.add(**ann_in_provo, total=1, key="once")
        with pytest.raises(transaction.TransactionManagementError):
            Order.objects.update(support_link="half of it")


def test_an_amount_that_would_be_converted_is_an_error(ann_in_provo):
    converted = PreparedInsert(
        lambda diner, store, total: Order(diner_id=diner, store_id=store, total=total), diner=int, store=int, total=int
    )
    with pytest.raises(TypeError, match="total"):
        converted.add(**ann_in_provo, total=1)
