"""What does a person drive? Commands and all that stands behind them; here, what they share: settings, text."""
