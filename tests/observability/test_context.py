"""Which request this is, in whatever it calls and logs."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from jwtpizza.observability import context

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"


def begin(request_id="", traceparent=""):
    with context.request(request_id=request_id, traceparent=traceparent) as trace:
        return trace


@pytest.mark.parametrize("request_id", ["x", "4f1c:7/a.b_c+d=e@f-g", "x" * 128])
def test_a_sane_request_id_is_kept(request_id):
    assert begin(request_id).request_id == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "a\nb", "x\n", '"', "<script>", "é", "a,b"])
def test_any_other_is_replaced(request_id):
    assert re.fullmatch("[0-9a-f]{32}", begin(request_id).request_id)


def test_each_request_without_an_id_has_one_of_its_own():
    assert begin().request_id != begin().request_id


def test_a_trace_goes_on_with_a_span_of_our_own():
    trace = begin(traceparent=TRACEPARENT)
    assert (trace.trace_id, trace.flags) == (TRACE, "01")
    assert re.fullmatch(f"00-{TRACE}-[0-9a-f]{{16}}-01", trace.traceparent())
    assert trace.traceparent() not in (TRACEPARENT, trace.traceparent())


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "x",
        f"01-{TRACE}-b7ad6b7169203331-01",
        f"00-{'0' * 32}-b7ad6b7169203331-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE.upper()}-b7ad6b7169203331-01",
        TRACEPARENT + "-x",
        TRACEPARENT + "\n",
    ],
)
def test_a_malformed_trace_is_replaced_by_a_new_one(traceparent):
    trace = begin(traceparent=traceparent)
    assert re.fullmatch("[0-9a-f]{32}", trace.trace_id)
    assert trace.trace_id != TRACE
    assert trace.flags == "00"


def test_the_request_in_hand_is_this_threads_own():
    with context.request(request_id="mine", traceparent=""), ThreadPoolExecutor(1) as elsewhere:
        assert elsewhere.submit(context.current).result() is None
        assert context.current().request_id == "mine"


def test_after_a_request_there_is_none_in_hand():
    with context.request(request_id="mine", traceparent=""):
        pass
    assert (context.current(), context.request_id()) == (None, "")
