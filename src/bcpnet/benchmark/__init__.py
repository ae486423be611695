"""How fast: frame in to class map out, by stage, in time and in memory, beside what the machine could do at most."""
