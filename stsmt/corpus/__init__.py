"""The corpus: pairs on disk (`pairs`, `shards`, `sources`), their index (`index`), and asking it (`search`).

Parquet shards are the truth. The DuckDB index is made from them and can be thrown away and made again.
"""
