"""Stands in for the package of Colab's machines, as far as the notebooks use it."""
