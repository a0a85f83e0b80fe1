"""How does the store keep its promises? Schema, rules, journal and every query: SQL lives only here."""
