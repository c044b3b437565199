"""`python -m stsmt`."""

from stsmt.cli import main

raise SystemExit(main())
