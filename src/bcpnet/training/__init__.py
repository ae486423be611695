"""Training: a recipe (what), augment and losses (how), fit (the loop). Needs the extra `bcpnet[train]`."""
