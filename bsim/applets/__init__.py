"""One module an applet: handlers and nothing else."""
