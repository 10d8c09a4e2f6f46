"""What can be searched, and the words that everything else is said in."""
