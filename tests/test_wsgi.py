"""What the server is handed."""

# An answer that was made while what ends a request (connections given back) fails.
ASKED = """
import jwtpizza.wsgi
from django.core.signals import request_finished
from django.test import RequestFactory

def fail(**_):
    raise RuntimeError("nothing can be given back")

statuses, asked = [], RequestFactory().get("/livez", HTTP_HOST="127.0.0.1")
request_finished.connect(fail)
answer = jwtpizza.wsgi.application(asked.environ, lambda status, _: statuses.append(status))
"""


def test_what_goes_wrong_after_an_answer_was_made_does_not_change_it(run):
    told = run(ASKED, "[*statuses, *answer]")

    assert told == str(["200 OK", b'{"status":"live"}'])
