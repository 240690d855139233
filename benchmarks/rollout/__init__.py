"""What a rollout costs: comparing both sides, and writing to both."""
