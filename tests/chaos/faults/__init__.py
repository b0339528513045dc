"""What can go wrong, one file a family; `table.py` has all of it at one place."""
