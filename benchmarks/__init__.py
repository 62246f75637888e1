"""
What errgate adds, measured beside its peers; `make bench` runs it.

`__main__` is the command; `bench` the machine it runs on and everything it starts; `stub` the vendor; `peers` who is
compared; `load` how; `measures/` what is measured, a file each; `goals` what was to be reached; `results` the one file
that is kept of it, and `report` the tables drawn from that.
"""
