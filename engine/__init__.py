"""How Pulumi is spoken to, offline and on AWS alike: the stack files, and what a run of the engine reports."""
