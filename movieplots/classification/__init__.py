"""Genre classifiers: training, calibration, prediction, explanation, quantization."""
