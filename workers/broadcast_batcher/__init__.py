"""The broadcast-batcher: takes up launches and controls of campaigns, and publishes batches that are due."""
