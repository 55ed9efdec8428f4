"""Files made of what is stored: asked for over REST, made one at a time in a process of its own.

================= ==================================================================
``orders``        what may be asked for
``jobs``          the queue in PostgreSQL: leases, progress, cancellation, expiry
``runner``        in each control plane: claims jobs, starts processes, clears up
``process``       one job from its order to its file in the object store
``tracking_data`` rows as CSV, JSON Lines or Parquet
``report``        figures of an environment; ``report_page`` shows them as one page
``video``         footage with boxes, names and the floor plan
``schedules``     reports made again and again
================= ==================================================================
"""
