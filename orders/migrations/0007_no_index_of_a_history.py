from django.db import migrations

from jwtpizza.operations import RemoveIndexConcurrently


class Migration(migrations.Migration):

    atomic = False
    dependencies = [("orders", "0006_pages_of_a_history")]

    operations = [RemoveIndexConcurrently(model_name="order", name="order_history")]
