"""The metric contract, and one scrape of it. It must not know where a number comes from."""
