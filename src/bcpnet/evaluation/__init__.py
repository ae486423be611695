"""How good weights are: any backend on any dataset."""
