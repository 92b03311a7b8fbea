"""What all trainings share: lifecycle, model folder, lineage, learning-rate search."""
