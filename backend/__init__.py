"""Training, evaluation and storage of avocado defect experiments."""
