"""Models, for a person: what there is, whether it is what it says, and stock files made models of edgepose."""
