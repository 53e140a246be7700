"""The practice factory: signs real pizzas, and fails on purpose when it is told to.

A process of its own, `python -m jwtpizza.sandbox`, that shares no code with the service that orders from it.
"""
