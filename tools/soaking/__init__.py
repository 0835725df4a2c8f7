"""The long run: a service, a broker, a camera, a reader who counts, and a table of faults between them."""
