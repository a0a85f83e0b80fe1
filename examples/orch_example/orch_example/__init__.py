"""An example of a job kind in a package of one's own."""
