"""How often rules wake people for nothing, and how soon they see what matters."""
