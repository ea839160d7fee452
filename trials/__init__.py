"""Long and side-by-side trials of the whole balancer, with faults made on purpose."""
