"""Results, figures and tables of `jepa-mpc compare`."""
