"""Row blocks: groups that share their rows, lowered as one kernel that computes some rows of all before the next."""
