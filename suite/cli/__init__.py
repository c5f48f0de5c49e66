"""The command line: one small file per command, imported when that command is called."""
