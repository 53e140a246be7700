"""How fast the service is, beside what its server can do at all: `script/bench`."""
