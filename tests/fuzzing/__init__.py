"""What Python objects and exports become of bytes that nobody chose, and what must hold of them.

- `choices`: bytes, taken apart into choices.
- `objects`: choices made into nested objects, some of which no storage takes.
- `conversion`: what is done with them; as a script it runs until something is found, or until its time is over.
"""
