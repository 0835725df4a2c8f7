"""The command line: every file here is a command, but for HELPERS in cli.py.

A command is a module with HELP (one line), EXAMPLES, add_arguments(parser) and run(args) -> exit code. It imports what
its work needs inside run(). One with settings calls flags.add_settings(parser) and flags.read_settings(args).
"""
