"""Writes every contract into this directory."""

from contracts.generate import documents, write

if __name__ == "__main__":
    write(documents())
