from typing import Any

from django.core.management.base import BaseCommand

from orders import services


class Command(BaseCommand):
    help = "Decides the orders that a crash left pending, once their lease has run out."

    def handle(self, *args: Any, **options: Any) -> None:
        outcomes = services.settle_abandoned()
        self.stdout.write(", ".join(f"{count} {outcome}" for outcome, count in outcomes.items()))
