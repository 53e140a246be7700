"""What clients send about the menu, and what they read."""

from decimal import Decimal
from typing import ClassVar

from rest_framework import serializers

from jwtpizza.api.serializers import Input, Text
from jwtpizza.fields import DECIMALS, DIGITS, MOST_BITCOIN


class Price(serializers.DecimalField):
    """An amount of ₿ as `BitcoinField` keeps it."""

    described: ClassVar = {"multipleOf": 10**-DECIMALS}


class MenuItemIn(Input):
    title = Text()
    description = Text()
    image = Text(max_length=1024)
    price = Price(
        max_digits=DIGITS,
        decimal_places=DECIMALS,
        min_value=Decimal(0),
        max_value=Decimal(MOST_BITCOIN),
        coerce_to_string=False,
        help_text="₿, at most 8 decimals.",
    )


class MenuItemOut(serializers.Serializer):
    id = serializers.IntegerField()
    title = serializers.CharField()
    image = serializers.CharField()
    price = serializers.FloatField(help_text="₿")
    description = serializers.CharField()
