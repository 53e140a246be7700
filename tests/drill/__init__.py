"""The drill: an outage of each kind that the factory knows, under load; books and incidents are compared afterwards.

    healthy → fail → support link → healthy → throttle → healthy → badjwt → healthy → killed → restarted → healthy

The load is a closed loop: each client waits for its answer, then for a moment, then calls again.

| clients | call | wait after each answer |
|---|---|---|
| 16 | the menu | 100 ms |
| 4 | the list of franchises | 100 ms |
| 8 | a login | 1 s |
| 16 | an order | 1 s |
| 14 | an order that may be promised (`Prefer: respond-async`) | 1 s |

Sixteen clients that wait a second make 16 orders a second at most; those who take a promise bring it over 20. Without
their waits, readers and logins use up two cores, and a phase in which refused orders cost less than made ones would
look quicker than a healthy one. With them, throughput falls when answers become slower, and for no other reason.

`python -m tests.drill` or `script/drill` runs it; `tests/e2e/test_drill.py` runs it compressed.
"""
