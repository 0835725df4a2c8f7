"""Setting up by questions: what is asked, how an answer is tried, what is written, how the service starts."""
