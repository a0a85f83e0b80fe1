"""Where is the report's study? VGG19, its 105 shortcuts, their search, matching and evolution."""
