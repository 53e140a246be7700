"""A report in its `formats`: `markdown` and `html`, of the same `sections`, and `json`, which `openapi` describes."""
