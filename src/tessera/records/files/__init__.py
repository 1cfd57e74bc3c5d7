"""Files wherever they are: names and patterns (`places`), bytes by range or copy (`remote`), the `cache`, settings.

It must not know what is inside: records, forms and media are read by the rooms beside it.
"""
