"""``python -m eatool.dev.smf``."""

from eatool.dev.smf.cli import solace

if __name__ == "__main__":
    solace(prog_name="python -m eatool.dev.smf")
