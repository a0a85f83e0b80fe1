"""How do images become an accuracy? The data sets, the training step, the loop."""
