"""Changes that are acknowledged before they are decided: a durable queue and its workers."""
