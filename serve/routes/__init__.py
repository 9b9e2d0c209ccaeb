"""Routes of the HTTP API, one module for each kind of resource, and the bodies of requests and responses."""
