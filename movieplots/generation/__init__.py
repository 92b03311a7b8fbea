"""Generators: training, distillation, sampling, dumps and export."""
