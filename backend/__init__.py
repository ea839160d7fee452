"""Demo backends: small HTTP servers for trying, testing and measuring the balancer."""
