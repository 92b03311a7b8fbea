"""Evaluation of dumps: metrics, reference texts, and answers in words."""
