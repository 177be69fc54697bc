"""The clocks: how often they poll, and what proves that they fit."""
