"""Networks in: one graph whose nodes are people, pages or papers, with their attributes and labels."""
