"""What is done about orders: `sales` makes them, `later` makes the promised ones, `outages` is for operators."""
