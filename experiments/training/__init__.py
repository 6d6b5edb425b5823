"""From data and a recipe to a model: resumable, offline and while acting."""
