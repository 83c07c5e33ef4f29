"""What a card does as a Mealy machine: learned from its answers (AALpy), made from the declaration, and compared."""
