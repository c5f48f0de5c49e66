"""Reports, site: everything there is as linked pages that work offline: methods, cards, studies, claims and runs."""
