"""`python -m bcpnet`."""

from bcpnet.cli import main

raise SystemExit(main())
