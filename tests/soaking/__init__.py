"""The parts of tests/soak.py: `load`, what is done; `samples`, what is measured; `verdict`, what must stay flat."""
