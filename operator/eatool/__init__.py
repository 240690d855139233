"""EATool Operator: declarative, event-sourced enterprise-architecture registry on Kubernetes."""

__version__ = "0.1.0"
