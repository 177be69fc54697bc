"""The metric contract, and one scrape of it. This room does not know where the numbers come from."""
