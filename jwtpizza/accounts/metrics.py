"""What logins tell Prometheus. Each value of each label is there from the start, at 0."""

from prometheus_client import Counter

RESULTS = ("success", "failure", "refused")

auth_attempts = Counter("jwtpizza_auth_attempts", "Logins, to the API and to the admin.", ["result"])

for _result in RESULTS:
    auth_attempts.labels(_result)
