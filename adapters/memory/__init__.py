"""Stand-ins behind the same ports, held to the same promises, that forget everything at the end.

store        the state they share; what is a database for the others
unit_of_work and the repositories that bear the names of their ports
"""
