"""What runs on a node. Importing this package never imports torch."""
