"""What commits are: facts, columns of many, the tree of one."""
