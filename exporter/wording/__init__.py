"""Error messages for people: one sentence for each error, with texts from elsewhere quoted safely."""
