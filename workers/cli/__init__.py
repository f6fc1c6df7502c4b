"""The command line `wabus`: questions, options and tables over the use cases in `shared`. No rules, no SQL.

A command is a module of its name; `…_options` and `…_view` are its parts, or a folder: `diagnosis` of
`doctor`, `overview` of `top`. The rest (`operation`, `printing`, `confirmation`, `ages`) is what commands
share. Those that start servers or programs here are in
`deploy.commands`.
"""
