"""From a request's authority and path to a service."""
