"""The networks of the paper's comparison, a file each."""
