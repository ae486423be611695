"""Files in, results out: what `bcpnet predict` runs."""
