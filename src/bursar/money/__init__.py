"""Money: what gateways report, what it means, what it granted. Imports nothing above it."""
