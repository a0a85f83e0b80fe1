"""From result rows to tables: Table 2 and its statistics, its difference from a published one, groups by any key."""
