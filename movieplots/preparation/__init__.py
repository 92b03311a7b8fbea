"""Preparation of corpora: cleaning, languages, duplicates, splits."""
