"""Where does a line of `status`, `show`, `explain`, `logs` come from? Typed views (pure), then text."""
