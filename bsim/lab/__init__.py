"""What can be done to any card."""
