"""Rules judged again on recordings: what they tell, what the truth says, why."""
