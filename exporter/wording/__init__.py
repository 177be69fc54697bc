"""How errors are worded for people: a sentence for each, with texts of others quoted safely in it."""
