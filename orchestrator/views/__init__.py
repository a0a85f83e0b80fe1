"""What people are shown: typed views built from the store's rows (pure), and how a terminal shows them."""
