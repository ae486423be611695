"""An archive in, Parquet out: cut into units that many processes or machines share out. Needs pyarrow."""
