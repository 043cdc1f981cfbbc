"""The trajectory buffer: the last embeddings of every UE, in Redis (embedded by default)."""
