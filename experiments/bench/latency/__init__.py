"""How long a plan takes, and what the shell around it adds."""
