"""What managers and analysts look at: pages, charts and exports over the run store."""
