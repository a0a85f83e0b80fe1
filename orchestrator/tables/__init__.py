"""Where does a number come from? Result rows to Table 2, its statistics, groups by any key."""
