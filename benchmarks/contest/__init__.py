"""What `quality.py` is made of: tasks, the clock that all searches share, the searches, and the table."""
