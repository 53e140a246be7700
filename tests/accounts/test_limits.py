"""The limit on failed logins: who is refused, for how long, and what is kept of it."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from ipaddress import ip_network

import pytest
from axes.models import AccessAttempt
from django.conf import settings as project
from django.contrib.admin.models import LogEntry
from django.contrib.auth import authenticate
from django.db import OperationalError, connection
from django.test import Client, RequestFactory
from django.test.utils import CaptureQueriesContext

from jwtpizza.accounts import limits, passwords
from jwtpizza.accounts.models import Session, User
from jwtpizza.accounts.passwords import Argon2id
from tests.e2e.steps import eventually
from tests.orders.stage import apart

DINER, NOBODY, ADMIN = "d@jwt.com", "nobody@jwt.com", "a@jwt.com"
HOME, CAFE = "192.0.2.1", "198.51.100.7"
MOST = 3


@pytest.fixture
def alone(settings, demo, time_machine):
    """Three failures are too many, time stands still, and there is no Redis."""
    settings.AXES_FAILURE_LIMIT = MOST
    time_machine.move_to("2026-11-24T12:00:00Z", tick=False)
    return time_machine


@pytest.fixture(params=["alone", "linked"])
def few(alone, request):
    """The same, without Redis and with it."""
    request.getfixturevalue(request.param)
    return alone


def log_in(email=DINER, password="diner", at=HOME, **headers):
    body = {"email": email, "password": password}
    return Client(REMOTE_ADDR=at).put("/api/auth", body, "application/json", headers=headers)


def fail(times=MOST, email=DINER, at=HOME, **headers):
    """That many logins with a wrong password; what the last was answered."""
    return [log_in(email, "wrong", at, **headers).status_code for _ in range(times)][-1]


def log_in_to_admin(email=ADMIN, password="admin", at=HOME):
    return Client(REMOTE_ADDR=at).post("/admin/login/?next=/admin/", {"username": email, "password": password})


# --- the API --------------------------------------------------------------------------------------


def test_fifty_failures_are_too_many_for_fifteen_minutes():
    assert project.LOGIN_FAILURES == project.AXES_FAILURE_LIMIT == 50
    assert timedelta(minutes=15) == project.AXES_COOLOFF_TIME


def test_after_too_many_failures_the_right_password_is_refused_too(few):
    assert fail(MOST) == 404
    answer = log_in()
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    told = answer.json()
    assert (told["error"], told["statusCode"]) == ("Too many failed logins", 429)
    assert told["message"] == "There were too many failed logins to this account. Please try again in 15 minutes."
    assert told["requestId"]


def test_one_failure_less_is_not_too_many(few):
    fail(MOST - 1)
    assert log_in().status_code == 200


def test_a_refused_login_costs_no_hash(few, monkeypatch):
    fail()
    for what in ("encode", "verify"):
        monkeypatch.setattr(Argon2id, what, None)
    assert log_in().status_code == log_in(password="wrong").status_code == 429


def test_an_account_that_does_not_exist_is_refused_alike(few):
    there, nowhere = ([log_in(email, "wrong") for _ in range(MOST + 2)] for email in (DINER, NOBODY))
    for one, other in zip(there, nowhere, strict=True):
        assert one.status_code == other.status_code
        assert one.headers.get("Retry-After") == other.headers.get("Retry-After")
        assert one.json() | {"requestId": ""} == other.json() | {"requestId": ""}


@pytest.mark.parametrize(
    ("waited", "left", "words"),
    [
        (0, 900, "15 minutes"),
        (59.5, 841, "15 minutes"),
        (60, 840, "14 minutes"),
        (840, 60, "a minute"),
        (899.9, 1, "a minute"),
    ],
)
def test_the_wait_is_what_is_left(few, waited, left, words):
    fail()
    few.shift(waited)
    answer = log_in()
    assert answer["Retry-After"] == str(left)
    assert answer.json()["message"].endswith(f"Please try again in {words}.")


def test_a_refused_login_does_not_make_the_wait_longer(few):
    fail()
    for _ in range(5):
        few.shift(180 - 1)
        log_in(password="wrong")
    few.shift(5)
    assert log_in().status_code == 200


def test_who_fails_after_the_wait_begins_anew(few):
    fail()
    few.shift(900)
    assert fail(MOST - 1) == 404
    assert log_in().status_code == 200


def test_failures_are_forgotten_fifteen_minutes_after_the_last(few):
    fail(MOST - 1)
    few.shift(899)
    fail(1)
    assert log_in().status_code == 429


@pytest.mark.parametrize("written", ["D@JWT.com", " d@jwt.com", "d@jwt.com "])
def test_an_account_is_the_same_however_its_address_is_written(few, written):
    fail(email=written)
    assert log_in().status_code == 429


def test_another_account_and_another_address_are_let_in(few):
    fail()
    assert log_in("f@jwt.com", "franchisee").status_code == 200
    assert log_in(at=CAFE).status_code == 200


def test_another_browser_is_the_same_address(few):
    for number in range(MOST):
        fail(1, **{"User-Agent": f"browser {number}"})
    assert log_in().status_code == 429


def test_a_success_forgets_the_failures_from_its_address(few):
    fail(MOST - 1)
    fail(MOST - 1, at=CAFE)
    assert log_in().status_code == 200
    assert fail(MOST - 1) == 404
    assert log_in().status_code == 200
    fail(1, at=CAFE)
    assert log_in(at=CAFE).status_code == 429


def test_right_logins_are_not_counted(few):
    assert {log_in().status_code for _ in range(2 * MOST)} == {200}
    assert not AccessAttempt.objects.exists()


def test_what_is_no_login_is_not_counted(few):
    for _ in range(MOST):
        log_in(password="")
    assert log_in().status_code == 200


@pytest.fixture
def patient(monkeypatch):
    """However long a busy machine takes for a hash, everybody has theirs."""
    monkeypatch.setattr(passwords.HASHING, "_seconds", 60)


def test_a_hundred_failures_at_once_are_a_hundred(demo, settings, patient):
    settings.AXES_FAILURE_LIMIT = 1000
    # Fewer than there are connections in a pool: a password's hash may take longer than anybody waits for one.
    with ThreadPoolExecutor(12) as pool:
        assert set(pool.map(apart(lambda _: fail(1)), range(100))) == {404}
    assert AccessAttempt.objects.get().failures_since_start == 100


@pytest.mark.parametrize(("password", "statement"), [("diner", "SELECT"), ("wrong", "INSERT"), ("wrong", "UPDATE")])
def test_where_failures_can_not_be_counted_nobody_logs_in(alone, password, statement):
    fail(1)

    def gone(execute, sql, *args):
        if "axes_accessattempt" in sql and sql.startswith(statement):
            raise OperationalError
        return execute(sql, *args)

    with connection.execute_wrapper(gone):
        assert log_in(password=password).status_code == 503
    assert not Session.objects.exists()


# --- what is kept ---------------------------------------------------------------------------------


def test_nothing_is_kept_but_how_often_and_when(alone):
    fail(1, **{"User-Agent": "mine", "Accept": "x"})
    Client(REMOTE_ADDR=HOME).post(
        f"/admin/login/?next={DINER}", {"username": DINER, "password": "wrong", "csrfmiddlewaretoken": "c", "e": DINER}
    )
    (row,) = AccessAttempt.objects.values()
    assert row.pop("id")
    assert row.pop("attempt_time")
    assert row == {
        "username": limits.account_of(DINER),
        "ip_address": HOME,
        "failures_since_start": 2,
        **dict.fromkeys(("user_agent", "http_accept", "path_info", "get_data", "post_data"), ""),
    }


def test_an_account_is_kept_as_a_digest_that_fits(settings):
    digest = limits.account_of("x" * 10_000)
    assert len(digest) == 64
    settings.SECRET_KEY = "another"
    assert limits.account_of("x" * 10_000) != digest


def test_what_is_over_is_deleted_with_the_next_failure_of_anybody(alone):
    for number in range(MOST):
        fail(1, email=f"{number}@jwt.com")
    alone.shift(900)
    fail(1)
    assert [row.username for row in AccessAttempt.objects.all()] == [limits.account_of(DINER)]


def test_no_login_waits_for_all_of_what_is_over(alone):
    rows = ({"username": str(number), "ip_address": HOME, "failures_since_start": 1} for number in range(250))
    AccessAttempt.objects.bulk_create(AccessAttempt(**row) for row in rows)
    alone.shift(900)
    assert [fail(1) and AccessAttempt.objects.count() for _ in range(3)] == [151, 51, 1]


def test_a_failure_says_no_address_in_the_log(few, caplog):
    fail(MOST + 1)
    log_in_to_admin(DINER, "wrong", CAFE)
    assert caplog.records
    assert DINER not in caplog.text
    assert "AXES" not in caplog.text


def test_a_right_login_writes_nothing_of_failures(few):
    with CaptureQueriesContext(
        connection,
    ) as done:
        log_in()
    asked = [query["sql"] for query in done if "axes_" in query["sql"]]
    assert [sql.split()[0] for sql in asked] == ["SELECT"]


# --- with Redis -----------------------------------------------------------------------------------


def gone_for_a_while(linked, redis):
    """It hangs, and keeps what it knows."""
    redis.pause()
    eventually(lambda: not linked.up)


def back(linked, redis):
    redis.resume()
    eventually(lambda: linked.up)


def test_guesses_write_nothing_to_the_database_until_they_are_too_many(alone, linked):
    with CaptureQueriesContext(connection) as done:
        fail(MOST - 1)
    assert {query["sql"].split()[0] for query in done} == {"SELECT"}
    assert not AccessAttempt.objects.exists()
    fail(1)
    assert AccessAttempt.objects.get().failures_since_start == MOST


def test_who_is_refused_stays_so_whatever_becomes_of_redis(alone, linked, redis):
    fail()
    redis.client.flushall()
    assert log_in().status_code == 429
    redis.kill()
    assert log_in().status_code == 429


def test_redis_keeps_a_digest_and_no_e_mail_address_and_not_for_long(alone, linked, redis):
    fail(1)
    log_in_to_admin(DINER, "wrong")
    (key,) = redis.client.keys("*failures*")
    assert key == f"jwtpizza:failures:{limits.account_of(DINER)}"
    assert redis.client.hkeys(key) == [HOME]
    assert 0 < redis.client.ttl(key) <= 900


def test_what_was_tallied_is_nothing_once_the_account_is_refused(alone, linked, redis):
    fail()
    assert redis.client.keys("*failures*") == []


def test_while_redis_is_gone_failures_are_counted_in_the_database(alone, linked, redis):
    fail(MOST - 1)
    redis.kill()
    assert fail(MOST - 1) == 404
    assert log_in().status_code == 200
    fail(MOST)
    assert log_in().status_code == 429


def test_what_the_database_counted_meanwhile_counts_when_redis_is_back(alone, linked, redis):
    gone_for_a_while(linked, redis)
    fail(MOST - 1)
    back(linked, redis)
    alone.shift(1)
    fail(1)
    assert log_in().status_code == 429


def test_a_success_while_redis_is_gone_forgets_what_it_has_tallied(alone, linked, redis):
    fail(MOST - 1)
    gone_for_a_while(linked, redis)
    alone.shift(1)
    assert log_in().status_code == 200
    back(linked, redis)
    alone.shift(1)
    assert fail(MOST - 1) == 404
    assert log_in().status_code == 200


def test_a_success_in_the_admin_while_redis_is_gone_forgets_too(alone, linked, redis):
    fail(MOST - 1, ADMIN)
    gone_for_a_while(linked, redis)
    alone.shift(1)
    assert log_in_to_admin().status_code == 302
    back(linked, redis)
    alone.shift(1)
    fail(MOST - 1, ADMIN)
    assert log_in_to_admin().status_code == 302


def test_who_is_forgiven_is_let_in_and_begins_anew_from_everywhere(alone, linked, redis):
    fail()
    fail(MOST - 1, at=CAFE)
    limits.forgive(user=User.objects.get(email=DINER))
    assert redis.client.keys("*failures*") == []
    assert log_in().status_code == 200
    fail(MOST - 1, at=CAFE)
    assert log_in(at=CAFE).status_code == 200


def test_who_is_forgiven_while_redis_is_gone_is_let_in(alone, linked, redis):
    fail()
    gone_for_a_while(linked, redis)
    limits.forgive(user=User.objects.get(email=DINER))
    assert log_in().status_code == 200
    back(linked, redis)
    assert log_in().status_code == 200


def test_an_account_that_is_guessed_at_from_everywhere_is_counted_in_the_database(alone, linked, monkeypatch):
    monkeypatch.setattr("jwtpizza.shared.MOST_PARTS", 1)
    fail(MOST - 1, at=CAFE)
    fail(MOST)
    assert AccessAttempt.objects.get().ip_address == HOME
    assert (log_in().status_code, log_in(at=CAFE).status_code) == (429, 200)


def test_a_hundred_failures_at_once_lock_out_with_redis_too(alone, linked, patient):
    with ThreadPoolExecutor(20) as pool:
        assert set(pool.map(apart(lambda _: fail(1)), range(MOST + 20))) <= {404, 429}
    assert log_in().status_code == 429


# --- the admin ------------------------------------------------------------------------------------


def test_the_admins_page_says_the_wait(few):
    for _ in range(MOST):
        assert log_in_to_admin(password="wrong").status_code == 200
    answer = log_in_to_admin()
    assert (answer.status_code, answer["Retry-After"]) == (429, "900")
    assert (
        "There were too many failed logins to this account. Please try again in 15 minutes." in answer.content.decode()
    )
    assert Client(REMOTE_ADDR=HOME).get("/admin/login/").status_code == 200
    few.shift(900)
    assert log_in_to_admin().status_code == 302


def test_the_admin_and_the_api_count_together(few):
    log_in_to_admin(password="wrong")
    fail(MOST - 1, ADMIN)
    assert (log_in_to_admin().status_code, log_in(ADMIN, "admin").status_code) == (429, 429)


def test_a_success_in_the_admin_forgets_too(few):
    fail(MOST - 1, ADMIN)
    assert log_in_to_admin().status_code == 302
    assert not AccessAttempt.objects.exists()


def test_no_other_form_gets_round_the_limit(few):
    fail(MOST, ADMIN)
    request = RequestFactory(REMOTE_ADDR=HOME).post("/")
    assert authenticate(request, username=ADMIN, password="admin") is None
    assert AccessAttempt.objects.get().failures_since_start == MOST


def test_a_form_without_an_address_is_no_login(few):
    assert Client().post("/admin/login/", {"password": "x"}).status_code == 200


def test_an_admin_lets_somebody_log_in_again(few):
    for place in (HOME, CAFE):
        fail(at=place)
    fail(email="f@jwt.com")
    desk = Client()
    desk.force_login(User.objects.get(email=ADMIN))
    user = User.objects.get(email=DINER)
    desk.post("/admin/accounts/user/", {"action": "let_in_again", "_selected_action": [user.pk]})
    assert [log_in(at=place).status_code for place in (HOME, CAFE)] == [200, 200]
    assert log_in("f@jwt.com", "franchisee").status_code == 429
    assert LogEntry.objects.get(object_id=user.pk).get_change_message() == "Failed logins forgotten."


# --- who is calling -------------------------------------------------------------------------------

PROXY, INNER = "127.0.0.1", "10.1.2.3"


@pytest.mark.parametrize(
    ("remote", "forwarded", "caller"),
    [
        (HOME, None, HOME),
        (PROXY, None, PROXY),
        (PROXY, HOME, HOME),
        (PROXY, f"{CAFE}, {HOME}", HOME),
        (PROXY, f"{CAFE}, {HOME}, {INNER}", HOME),
        (PROXY, f"{CAFE},{HOME} ,{INNER},{INNER}", HOME),
        (HOME, CAFE, HOME),
        (PROXY, INNER, INNER),
        (PROXY, f"{CAFE}, unknown", PROXY),
        (PROXY, f"{CAFE}, , {INNER}", INNER),
        (PROXY, "", PROXY),
        (PROXY, "999.1.1.1", PROXY),
        (PROXY, f"{HOME}:51234", HOME),
        (f"{HOME}:51234", None, HOME),
        (PROXY, f"::ffff:{HOME}", HOME),
        (f"::ffff:{PROXY}", HOME, HOME),
        (PROXY, "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        (PROXY, "[2001:db8:1:2::9]:443", "2001:db8:1:2::"),
        (PROXY, "[2001:db8:1:2::9]", "2001:db8:1:2::"),
        (PROXY, "fe80::1%eth0", "fe80::"),
        ("::1", HOME, HOME),
        ("", None, "0.0.0.0"),
        ("", HOME, "0.0.0.0"),
        ("a socket", HOME, "0.0.0.0"),
    ],
)
def test_an_address_is_what_the_trusted_proxies_say(settings, remote, forwarded, caller):
    settings.TRUSTED_PROXIES = [ip_network(text) for text in ("127.0.0.1", "10.0.0.0/8", "::1")]
    headers = {} if forwarded is None else {"HTTP_X_FORWARDED_FOR": forwarded}
    assert limits.address_of(RequestFactory().get("/", REMOTE_ADDR=remote, **headers)) == caller


def test_without_a_trusted_proxy_nobody_says_who_they_are(few):
    fail(1, **{"X-Forwarded-For": CAFE})
    fail(1, **{"X-Forwarded-For": "203.0.113.9"})
    fail(1)
    assert log_in(**{"X-Forwarded-For": CAFE}).status_code == 429


def test_behind_a_trusted_proxy_one_caller_does_not_lock_out_the_others(few, settings):
    settings.TRUSTED_PROXIES = [ip_network(HOME)]
    fail(**{"X-Forwarded-For": CAFE})
    assert log_in(**{"X-Forwarded-For": CAFE}).status_code == 429
    assert log_in(**{"X-Forwarded-For": "203.0.113.9"}).status_code == 200


@pytest.mark.parametrize("remote", ["", "::1", "::ffff:192.0.2.1", "a socket"])
def test_from_wherever_it_comes_a_failure_is_counted(few, remote):
    assert fail(at=remote) == 404
    assert log_in(at=remote).status_code == 429
