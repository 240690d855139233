"""Operating the platform by resources: brokers, replays and parked streams of one namespace."""
