"""What every stage's process has: a life that can be ended, signs of it, and crash points."""
