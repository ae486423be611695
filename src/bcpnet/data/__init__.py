"""Datasets: plain sequences of (image, label, name), NumPy only. To add one: a file here and a line in DATASETS."""
