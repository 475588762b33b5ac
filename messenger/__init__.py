"""The client wing: identity, contacts, history, outbox and the engine that a person talks through.

No socket and no clock: commands, frames and the time go in, frames and events come out. Only `database` touches
a file of its own and only `ui` the terminal.
"""
