"""What a sale and a call to the factory tell Prometheus. Each value of each label is there from the start, at 0."""

from collections.abc import Iterable
from itertools import product

from prometheus_client import Counter, Gauge, Histogram
from prometheus_client.metrics import MetricWrapperBase

from jwtpizza.resilience.retry import RESULTS

ATTEMPTS = (
    "ok",
    "server_error",
    "unreachable",
    "timeout",
    "bad_response",
    "bad_jwt",
    "unverified",
    "rejected",
    "unauthorized",
    "chaos",
)
SECONDS = (0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0, 10.0, 40.0)

orders = Counter("jwtpizza_orders", "Orders decided, each once: sold, failed, or refused with 503.", ["outcome"])
orders_promised = Counter("jwtpizza_orders_promised", "Orders answered 202, to be made later.")
pizzas_sold = Counter("jwtpizza_pizzas_sold", "Pizzas of fulfilled orders.")
revenue = Counter("jwtpizza_revenue", "What fulfilled orders cost, in bitcoin.")
order_seconds = Histogram(
    "jwtpizza_order_seconds", "From an order's arrival at the service layer to what its diner is told.", buckets=SECONDS
)
attempts = Counter("jwtpizza_factory_attempts", "Requests for a diner's pizza, by what came of them.", ["outcome"])
attempt_seconds = Histogram("jwtpizza_factory_attempt_seconds", "How long they took.", buckets=SECONDS)
in_flight = Gauge("jwtpizza_factory_in_flight", "Requests under way, a canary's too.", multiprocess_mode="livesum")
last_success = Gauge(
    "jwtpizza_factory_last_success_timestamp_seconds",
    "When a pizza, or a canary's, was last made and verified.",
    multiprocess_mode="max",
)
retries = Counter("jwtpizza_factory_retries", "Second attempts that were due, by what came of them.", ["result"])
refusals = Counter("jwtpizza_factory_refusals", "Calls that were not made, by the reason.", ["reason"])
transitions = Counter("jwtpizza_factory_breaker_transitions", "Changes of a worker's circuit.", ["from", "to"])


def _known(metric: MetricWrapperBase, *values: Iterable[str]) -> None:
    """A counter that begins at 1 is invisible to Prometheus's increase()."""
    for labels in product(*values):
        metric.labels(*labels)


_known(orders, ("fulfilled", "failed", "refused"))
_known(attempts, ATTEMPTS)
_known(retries, RESULTS)
_known(refusals, ("open", "probing", "bulkhead", "deadline"))
for _pair in (("closed", "open"), ("open", "half-open"), ("half-open", "closed"), ("half-open", "open")):
    transitions.labels(*_pair)
