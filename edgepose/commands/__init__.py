"""Commands of `edgepose` in files of their own: EXAMPLES, add_arguments(parser), run(args, cfg) -> exit code."""
