from django.db import migrations, models

from jwtpizza.operations import AddIndexConcurrently


class Migration(migrations.Migration):

    atomic = False
    dependencies = [("orders", "0005_incidents")]

    operations = [
        AddIndexConcurrently(
            model_name="order",
            index=models.Index(fields=["diner", "-id", "status"], name="order_pages"),
        ),
    ]
