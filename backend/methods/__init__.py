"""Self-supervised and metric-learning methods, one file each."""
