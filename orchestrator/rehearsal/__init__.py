"""Does a program survive being killed, and is it right afterwards? Disturbed runs, held against undisturbed ones."""
