"""Keeping what happened (`events`), opening and closing incidents (`lifecycle`), telling of them (`notices`)."""
