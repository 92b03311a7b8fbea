"""Base models, pretrained models, and running encoders."""
