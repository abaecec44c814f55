"""Who listens on this machine, who can reach it, what is wrong with that and how to mend it."""
