"""What pages show, read in one tenant's transaction: frozen views, and the statement beside each.

A page joins several verticals, so these reads live here and not in a vertical; they only ever select. Times are
aware, amounts are `Money`, ids are public texts: a template adds nothing but markup.
"""
