"""What a folder says about its services, for `devproxy init`: read, never run."""
