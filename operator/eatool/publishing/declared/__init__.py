"""Brokers, replays and parked streams as people declare and see them: ``platform.eatool.io``.

The models are the source of the CustomResourceDefinitions, as the specs of the nine kinds are; a
spec that the API server took is read by the very model its schema was made from.
"""

from typing import Final

API_GROUP: Final = "platform.eatool.io"
API_VERSION: Final = "v1alpha1"
