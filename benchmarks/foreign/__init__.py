"""Programs that nobody here wrote, run as they are: `make foreign` (docs/foreign.md)."""
