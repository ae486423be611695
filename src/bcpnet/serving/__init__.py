"""The HTTP service: `bcpnet serve` runs it. Everything that a client can make large, slow or wrong has a bound here."""
