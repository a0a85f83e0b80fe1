"""When are there enough seeds? Rules registered before the data: their words, boundaries, looks and verdicts."""
