"""How do results get into TensorBoard, W&B or MLflow? Runs, written by their own packages and kept true."""
