"""What can I type? The commands, one module each, imported only when called."""
