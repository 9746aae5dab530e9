"""Node exporter: metrics of the machine, and those that the boot agent leaves."""
