"""Measures on texts: copying, diversity, MAUVE, embeddings, the novelty index."""
