"""`python -m rrag_storage.cli`: the command line where no script was installed."""

from . import main

main()
