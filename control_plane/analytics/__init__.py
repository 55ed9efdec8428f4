"""What stored tracks say about people and places; definitions in docs/analytics.md.

============== ===================================================================
``spans``      which task speaks for which stretch of media time; coverage
``floor``      distance to a zone's border; grids of cells
``visits``     when somebody was in a zone or in a camera's view
``occupancy``  entries, exits, dwell and people at once, from visits
``flow``       who went from which zone to which
``journey``    one person's way: places, distance, speed, stops
``paths``      simplified ways, gathered into groups that look alike
``behaviour``  loitering, running, unusual ways; where somebody will be shortly
``queries``    the SQL that feeds them; ``answers`` and ``dashboard`` put both together
============== ===================================================================

All but the last three are pure: arrays in, values out, no clock and no database. Times are seconds
since 1970 UTC of media time, places metres on the environment's floor.
"""
