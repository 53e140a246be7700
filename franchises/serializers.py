"""What clients send about franchises and stores, and what they read."""

from rest_framework import serializers

from jwtpizza.api.serializers import EmailAddress, Input, Several, Text


class AdminIn(Input):
    email = EmailAddress()


class FranchiseIn(Input):
    name = Text()
    admins = Several(child=AdminIn(), max_length=100)


class StoreIn(Input):
    name = Text()


class PersonOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    email = serializers.CharField()


class OpenedFranchiseOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    admins = PersonOut(many=True)


class StoreOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    totalRevenue = serializers.FloatField(required=False, help_text="₿; for those who run it, and admins.")


class FranchiseOut(serializers.Serializer):
    id = serializers.IntegerField()
    name = serializers.CharField()
    admins = PersonOut(many=True, required=False, help_text="For those who run it, and admins.")
    stores = StoreOut(many=True)


class FranchisesOut(serializers.Serializer):
    franchises = FranchiseOut(many=True)
    more = serializers.BooleanField()


class OpenedStoreOut(serializers.Serializer):
    id = serializers.IntegerField()
    franchiseId = serializers.IntegerField()
    name = serializers.CharField()
