"""The server wing: routes sealed envelopes and cannot open them.

No socket and no clock: a command and the time go in, actions come out. What must never be here is a way to
plaintext; this wing may not import `messenger`.
"""
