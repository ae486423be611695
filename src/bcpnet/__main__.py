"""`python -m bcpnet`."""

from bcpnet.cli.main import program

if __name__ == "__main__":
    program()
