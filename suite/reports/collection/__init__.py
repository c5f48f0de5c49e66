"""Reports, collection: any set of records as one page. A table, matched pairs, fronts, trajectories. No torch."""
