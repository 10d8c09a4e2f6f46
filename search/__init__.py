"""How it is searched: specification, core, samplers, stop rules, engine, results, command line."""
