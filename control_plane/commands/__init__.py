"""The subcommands of ``spoton``; each has ``add_arguments(parser)`` and ``run(args, settings)``."""
