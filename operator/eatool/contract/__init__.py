"""What consumers of published events can rely on: schemas, and the AsyncAPI document of them."""
