"""The command line: a verb, its typed options, its function. The only package that prints; nothing imports it."""

from bcpnet.cli.main import main

__all__ = ["main"]
