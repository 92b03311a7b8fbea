"""What notebooks need: setup on Colab, copies on Google Drive, run notes, live curves."""
