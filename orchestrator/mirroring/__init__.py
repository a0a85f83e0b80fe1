"""Where is the copy of a store on another machine, and how old is it? Rounds of rsync, and what a mirror says."""
