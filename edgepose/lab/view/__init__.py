"""The live page: the newest of every camera in a browser, a recording with a timeline, a drawing board for zones."""
