"""The paper's comparison, measured here: every system it names, its tables and figures, beside what was published."""
