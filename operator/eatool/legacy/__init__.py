"""The mutable tables of an existing registry: adopting, reading, writing and importing them."""
