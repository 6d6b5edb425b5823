"""One page from any tables of rows: `jepa-mpc report`."""
