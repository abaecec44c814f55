"""devproxy's own pages and API, at devproxy.localhost and nowhere else."""
