"""The admin: who may work in it, its homes with their charts, and what holds for each of its pages."""
