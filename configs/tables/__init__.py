"""Each truth once: ports and flows, names, addresses, versions, capacity. Everything else is derived."""
