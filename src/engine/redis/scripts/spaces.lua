-- How many first namespaces a single server holds.
return call('HLEN', spaces)
