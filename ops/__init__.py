"""The day-2 commands: failover, failback, status, verify. They speak AWS's APIs and the services' own."""
